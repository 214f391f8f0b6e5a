#include <kiln/finding.h>
#include <kiln/text.h>

#include "unpack/decoder.h"
#include "unpack/libarchive.h"

namespace kiln::import {
namespace {

constexpr std::size_t most_members = 1000;

Error unsafe(const File& file, const std::string& what, const std::string& name) {
  return refused(file.path().string() + " " + what, "unpack it, look at what it holds, and import the disk",
                 {"member " + in_quotes(name)})
      .as(code::archive);
}

void check(const File& file, archive_entry* entry, const std::string& name) {
  if (::archive_entry_filetype(entry) != AE_IFREG || ::archive_entry_symlink(entry) != nullptr ||
      ::archive_entry_hardlink(entry) != nullptr)
    throw unsafe(file, "has a member that is no plain file", name);
  if (name.empty() || name.front() == '/' || name.find("..") != std::string::npos || printable(name) != name)
    throw unsafe(file, "has a member whose name is none of a plain file", name);
  if (::archive_entry_is_encrypted(entry) != 0)
    throw refused(file.path().string() + " is encrypted", "unpack it with its password first",
                  {"member " + in_quotes(name)})
        .as(code::encrypted);
}

/// What macOS adds to what it packs, and folders: names without content.
bool means_nothing(archive_entry* entry, const std::string& name) {
  const bool folder = ::archive_entry_filetype(entry) == AE_IFDIR && name.ends_with('/');
  return folder || name.starts_with("__MACOSX/") || name == ".DS_Store" || name.ends_with("/.DS_Store");
}

/// The next member that means something.
archive_entry* next_file(ArchiveReader& reader) {
  for (std::size_t i = 0; i < most_members; ++i) {
    archive_entry* entry = reader.next();
    if (entry == nullptr || !means_nothing(entry, ArchiveReader::name_of(entry))) return entry;
  }
  return nullptr;
}

/// The name of the only file. The directory at the file's end says what there is.
std::string only_member(const File& file) {
  ArchiveReader reader(file, ::archive_read_support_format_zip_seekable);
  archive_entry* entry = next_file(reader);
  if (entry == nullptr) throw unsafe(file, "holds nothing", "");
  const std::string name = ArchiveReader::name_of(entry);
  check(file, entry, name);
  if (archive_entry* other = next_file(reader))
    throw unsafe(file, "holds more than one file", ArchiveReader::name_of(other));
  return name;
}

class ZipDecoder final : public Decoder {
 public:
  explicit ZipDecoder(const File& file)
      : file_(file), name_(only_member(file)), reader_(file, ::archive_read_support_format_zip_seekable) {
    next_file(reader_);
  }

  std::size_t read(std::span<std::byte> into) override {
    std::size_t done = 0;
    while (done < into.size()) {
      const la_ssize_t got = ::archive_read_data(reader_.get(), into.data() + done, into.size() - done);
      if (got < 0) reader_.must(static_cast<int>(got));
      if (got <= 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }
  std::uint64_t consumed() const override { return std::min(reader_.position(), file_.size()); }
  std::string name() const override { return name_; }

 private:
  const File& file_;
  std::string name_;
  ArchiveReader reader_;
};

}  // namespace

std::unique_ptr<Decoder> decode_zip(const File& file) {
  return std::make_unique<ZipDecoder>(file);
}

}  // namespace kiln::import
