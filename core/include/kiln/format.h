#pragma once
// A format knows one container of a disk: qcow2, raw, vhd. Adding one makes every pipeline able to read or write it.

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <kiln/block.h>
#include <kiln/file.h>
#include <kiln/finding.h>
#include <kiln/param.h>

namespace kiln {

/// What a plugin says about itself. Printed by `kiln plugin info`, hashed into cache keys.
struct About {
  std::string name, summary;
  int revision = 1;                          ///< raise it when the same parameters would now make different bytes
  std::vector<std::string> needs = {};       ///< host programs, for example "qemu-img"
  std::vector<std::string> extensions = {};  ///< formats only, the usual one first: "vhd", "vpc"
  std::vector<Param> params = {};            ///< filled in from the Schema
};

/// Named facts, for people and for JSON. The order of the names is the order of printing.
using Facts = std::map<std::string, std::string, std::less<>>;

/// What a format found in a file's own structures, before anything was read of the disk.
struct Inspection {
  std::string format;   ///< the format's name
  std::string variant;  ///< "dynamic", "v3 zstd"; may be empty
  std::uint64_t virtual_size = 0;
  std::uint64_t file_size = 0;
  Facts details;  ///< the rest, by the specification's own terms: "creator", "cluster_size"
  /// Other files, beside this one, that hold the disk's bytes: the extents of a VMDK.
  std::vector<std::filesystem::path> beside = {};
  /// What is not as it should be and can be lived with.
  std::vector<Finding> findings = {};
};

/// How sure probe() is. `weak` is for a container without a mark of its own (raw): taken when nobody says yes.
enum class Match { no, weak, yes };

/// The first and the last bytes of a file: what recognition may look at.
struct Glimpse {
  std::span<const std::byte> head;  ///< up to 64 KiB
  std::span<const std::byte> tail;  ///< the last bytes, up to 64 KiB; the same as head for a small file
  std::uint64_t file_size = 0;
};

/// A machine in one file, while it is made: its disks one after the other. For one thread at a time.
class KILN_API Package {
 public:
  Package() = default;
  Package(const Package&) = delete;
  Package& operator=(const Package&) = delete;
  virtual ~Package();  ///< without finish(): undo, leave nothing behind

  /// The next disk's sink, the system's first. The one before has been finished, and is gone with this call.
  virtual BlockSink& next_disk() = 0;
  /// After the last disk was finished. `progress` is told of bytes; what it throws ends the work.
  virtual void finish(const std::function<void(std::uint64_t done, std::uint64_t total)>& progress) = 0;
};

/// Immortal and immutable: any thread may call any function. Files come from strangers: a format reads them with its
/// own strict code, checks every offset against the file's end, and never hands them to another program.
class KILN_API Format {
 public:
  virtual const About& about() const = 0;
  virtual Match probe(const Glimpse&) const = 0;
  /// Validates the headers. Throws refused() for what points outside of the file, Error for what is damaged, both
  /// under a code of <kiln/finding.h>.
  virtual Inspection inspect(const File&) const = 0;
  /// Opens the disk. `below` is given only for kiln's own layers: what an overlay reads where it holds nothing itself;
  /// without it, a file that needs another one is refused.
  virtual std::shared_ptr<const BlockReader> open(File, std::shared_ptr<const BlockReader> below = nullptr) const = 0;
  /// Not empty: kiln leaves the container to QEMU's block driver of this name, which runs in the sandbox; open() is
  /// not called. inspect() checks the file beforehand nevertheless.
  virtual std::string_view qemu_driver() const { return {}; }
  /// A sink that writes `file` (which must not exist). `size` is the disk's. Options were validated against
  /// about().params.
  virtual std::unique_ptr<BlockSink> create_with(const std::filesystem::path& file, std::uint64_t size,
                                                 const Table& options) const = 0;
  /// Whether a file of it is a machine, with all of its disks and what is known of it. Then create_with() makes one of
  /// one disk, of which nothing is known.
  virtual bool is_package() const { return false; }
  /// Only where is_package(): a file for disks of these sizes. `known` has the names of Image::facts.
  virtual std::unique_ptr<Package> pack_with(const std::filesystem::path& file, const std::vector<std::uint64_t>& sizes,
                                             const Facts& known, const Table& options) const;

  Inspection inspect(const std::filesystem::path& file) const { return inspect(File::open_read(file)); }
  std::shared_ptr<const BlockReader> open(const std::filesystem::path& file,
                                          std::shared_ptr<const BlockReader> below = nullptr) const {
    return open(File::open_read(file), std::move(below));
  }

 protected:
  ~Format() = default;
};

/// The base class of formats: the options of create() arrive as their own struct.
template <class O>
class FormatOf : public Format {
 public:
  FormatOf(About about, Schema<O> schema) : about_(std::move(about)), schema_(std::move(schema)) {
    about_.params = schema_.params();
  }
  const About& about() const final { return about_; }
  std::unique_ptr<BlockSink> create_with(const std::filesystem::path& file, std::uint64_t size,
                                         const Table& options) const final {
    return create(file, size, schema_.bind(options));
  }
  std::unique_ptr<Package> pack_with(const std::filesystem::path& file, const std::vector<std::uint64_t>& sizes,
                                     const Facts& known, const Table& options) const final {
    return pack(file, sizes, known, schema_.bind(options));
  }

 protected:
  virtual std::unique_ptr<BlockSink> create(const std::filesystem::path& file, std::uint64_t size, const O&) const = 0;
  virtual std::unique_ptr<Package> pack(const std::filesystem::path& file, const std::vector<std::uint64_t>& sizes,
                                        const Facts& known, const O&) const {
    return Format::pack_with(file, sizes, known, {});
  }
  ~FormatOf() = default;

 private:
  About about_;
  Schema<O> schema_;
};

/// The formats that are installed, by name. Lent to stages.
class Formats {
 public:
  /// Throws invalid() with the nearest name when there is none.
  virtual const Format& get(std::string_view name) const = 0;
  /// The one format whose content this is. Two that both say yes is refused as ambiguous.
  virtual const Format& detect(const File&) const = 0;
  const Format& detect(const std::filesystem::path& file) const { return detect(File::open_read(file)); }
  virtual std::vector<std::string> names() const = 0;

 protected:
  ~Formats() = default;
};

/// The format to write a file in: the one named, or the one that the file's ending tells. Throws invalid() with the
/// choices when neither does.
KILN_API const Format& format_for(const Formats&, const std::filesystem::path& file, std::string_view named = {});

}  // namespace kiln
