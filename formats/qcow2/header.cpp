#include "header.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>

#include <kiln/endian.h>

namespace kiln::qcow2 {
namespace {

using Bytes = std::span<const std::byte>;

constexpr const char* complete_hint =
    "an imported disk must be complete in itself; ask the sender for a flattened image (qemu-img convert)";
constexpr std::uint32_t v2_length = 72, v3_length = 104, compression_length = 112;
constexpr std::uint32_t max_snapshots = 65536;  // QEMU's own limit, as the next one
constexpr std::uint64_t max_refcount_table_bytes = 8u << 20;

std::string text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct Extensions {
  struct Feature {
    std::uint8_t kind, bit;  // kind 0: incompatible
    std::string name;
  };
  std::vector<Feature> features;
  std::optional<std::string> data_file;
  std::uint64_t end = 0;  // first byte after the last extension
};

/// Parses the fields, checking only what is needed to go on.
class Parser {
 public:
  Parser(const File& file, std::uint64_t file_size) : file_(file), path_(file.path()), file_size_(file_size) {
    std::array<std::byte, 512> head{};
    const std::size_t got = file.read_some(0, head);
    if (got < 8 || get_be<std::uint32_t>(head, 0) != magic)
      throw Error(path_.string() + " is not a qcow2 file", "let kiln find the format, or name the right one")
          .as(code::format_mismatch);
    check_version(get_be<std::uint32_t>(head, 4));
    if (got < v2_length) throw truncated(file_, "the qcow2 header", v2_length);
    header_.cluster_bits = get_be<std::uint32_t>(head, 20);
    if (header_.cluster_bits < min_cluster_bits || header_.cluster_bits > max_cluster_bits)
      throw damaged(file_, field(20, 4) + "cluster_bits is " + std::to_string(header_.cluster_bits) + ", not 9..21");
    if (file_size < header_.length) throw truncated(file_, "the qcow2 header", header_.length);
    first_.resize(static_cast<std::size_t>(std::min(header_.cluster_size(), file_size)));
    file.read_at(0, first_);
    if (first_.size() < v3_length) first_.resize(v3_length);  // version 2: the rest reads as zeros
  }

  Header parse(bool is_layer) {
    read_fields();
    const Extensions extensions = read_extensions();
    refuse_references(extensions, is_layer);
    refuse_features(extensions);
    if (const std::uint32_t crypt = get_be<std::uint32_t>(first_, 32); crypt != 0)
      throw refused(path_.string() + " is encrypted", "decrypt it first (qemu-img convert with the secret)",
                    {field(32, 4) + "encryption method " + std::to_string(crypt) +
                     (crypt == 1   ? " (AES)"
                      : crypt == 2 ? " (LUKS)"
                                   : "")})
          .as(code::encrypted);
    refuse_second_format(extensions);
    check_tables();
    return header_;
  }

 private:
  static std::string field(unsigned from, unsigned length) {
    return "qcow2 header, bytes " + std::to_string(from) + ".." + std::to_string(from + length - 1) + ": ";
  }

  void check_version(std::uint32_t version) {
    if (version != 2 && version != 3)
      throw refused(path_.string() + " is qcow version " + std::to_string(version) + ", and kiln reads 2 and 3",
                    "convert it with the program that wrote it", {field(4, 4) + "version " + std::to_string(version)})
          .as(code::unsupported);
    header_.version = version;
    header_.length = version == 2 ? v2_length : v3_length;
  }

  void read_fields() {
    header_.backing_offset = get_be<std::uint64_t>(first_, 8);
    header_.size = get_be<std::uint64_t>(first_, 24);
    header_.l1_entries = get_be<std::uint32_t>(first_, 36);
    header_.l1_offset = get_be<std::uint64_t>(first_, 40);
    header_.refcount_table_offset = get_be<std::uint64_t>(first_, 48);
    header_.refcount_table_clusters = get_be<std::uint32_t>(first_, 56);
    header_.snapshots = get_be<std::uint32_t>(first_, 60);
    header_.snapshots_offset = get_be<std::uint64_t>(first_, 64);
    if (header_.version == 2) return;  // there, bytes 72 and on are extensions
    header_.incompatible = get_be<std::uint64_t>(first_, 72);
    header_.compatible = get_be<std::uint64_t>(first_, 80);
    header_.autoclear = get_be<std::uint64_t>(first_, 88);
    header_.refcount_order = get_be<std::uint32_t>(first_, 96);
    header_.length = get_be<std::uint32_t>(first_, 100);
    if (header_.length < v3_length || header_.length % 8 != 0 || header_.length > header_.cluster_size())
      throw damaged(file_, field(100, 4) + "header_length is " + std::to_string(header_.length));
    if (header_.length > file_size_) throw truncated(file_, "the qcow2 header", header_.length);
  }

  Extensions read_extensions() const {
    Extensions all;
    const std::uint64_t limit =
        header_.backing_offset != 0 ? std::min<std::uint64_t>(header_.backing_offset, first_.size()) : first_.size();
    std::uint64_t at = header_.length;
    while (at + 8 <= limit) {
      const std::uint32_t type = get_be<std::uint32_t>(first_, at);
      const std::uint64_t length = get_be<std::uint32_t>(first_, at + 4);
      at += 8;
      if (type == extension_end) {
        at -= 4;  // its length means nothing
        break;
      }
      if (length > limit - at)
        throw damaged(file_, "qcow2 header extension " + hex(type) + " at byte " + std::to_string(at - 8) +
                                 ": length " + std::to_string(length) + " does not fit");
      add_extension(all, type, Bytes(first_).subspan(at, length));
      at = std::min(at + (length + 7) / 8 * 8, limit);
    }
    all.end = std::max<std::uint64_t>(at, header_.length);
    return all;
  }

  static void add_extension(Extensions& all, std::uint32_t type, Bytes content) {
    if (type == extension_data_file) all.data_file = text_of(content);
    if (type != extension_features) return;
    for (; content.size() >= 48; content = content.subspan(48)) {
      std::string name = text_of(content.subspan(2, 46));
      name.resize(std::min(name.find('\0'), name.size()));
      all.features.push_back(
          {std::to_integer<std::uint8_t>(content[0]), std::to_integer<std::uint8_t>(content[1]), std::move(name)});
    }
  }

  void refuse_references(const Extensions& extensions, bool is_layer) const {
    std::vector<std::string> evidence;
    if (header_.backing_offset != 0 && !is_layer)
      evidence.push_back(field(8, 8) + "backing file name " + backing_name());
    const std::string named = extensions.data_file ? ", named " + in_quotes(*extensions.data_file) : std::string();
    if ((header_.incompatible & incompatible_data_file) != 0)
      evidence.push_back(field(72, 8) + "external data file (incompatible feature bit 2)" + named);
    else if (extensions.data_file)
      evidence.push_back("qcow2 header extension " + hex(extension_data_file) + ": external data file" + named);
    else if ((header_.autoclear & autoclear_raw_data_file) != 0)
      evidence.push_back(field(88, 8) + "raw external data file (autoclear feature bit 1)");
    if (!evidence.empty())
      throw refused(path_.string() + " refers to another file of this host", complete_hint, std::move(evidence))
          .as(header_.backing_offset != 0 && !is_layer ? code::backing_file : code::data_file);
  }

  std::string backing_name() const {
    const std::uint64_t length = get_be<std::uint32_t>(first_, 16);
    if (header_.backing_offset >= first_.size()) return "at byte " + std::to_string(header_.backing_offset);
    return in_quotes(text_of(Bytes(first_)
                                 .subspan(header_.backing_offset)
                                 .first(std::min<std::uint64_t>(length, first_.size() - header_.backing_offset))));
  }

  void refuse_features(const Extensions& extensions) const {
    if ((header_.incompatible & incompatible_corrupt) != 0)
      throw Error(path_.string() + " is marked as corrupt by the program that wrote it",
                  "repair a copy of it (qemu-img check -r all), and check what it holds",
                  {field(72, 8) + "corrupt (incompatible feature bit 1)"})
          .as(code::damaged);
    std::vector<std::string> evidence;
    for (unsigned bit = 5; bit < 64; ++bit) {
      if ((header_.incompatible >> bit & 1) == 0) continue;
      const auto known = std::find_if(extensions.features.begin(), extensions.features.end(),
                                      [bit](const auto& f) { return f.kind == 0 && f.bit == bit; });
      evidence.push_back(field(72, 8) + "incompatible feature bit " + std::to_string(bit) + ", " +
                         (known == extensions.features.end() ? "not named" : "named " + in_quotes(known->name)));
    }
    if (!evidence.empty())
      throw refused(path_.string() + " needs a qcow2 feature that kiln does not know",
                    "write it again without that feature (qemu-img convert)", std::move(evidence))
          .as(code::unsupported);
  }

  /// A boot sector, a GPT or an ISO descriptor in what the header leaves of its cluster: a file that is one disk for
  /// those who believe the magic and another one for those who do not.
  void refuse_second_format(const Extensions& extensions) const {
    const auto holds = [&](std::uint64_t at, std::string_view mark) {
      return at >= extensions.end && (header_.backing_offset == 0 || at < header_.backing_offset) &&
             at + mark.size() <= first_.size() && text_of(Bytes(first_).subspan(at, mark.size())) == mark;
    };
    const char* second = holds(510, "\x55\xaa")                               ? "a boot sector (bytes 510..511)"
                         : holds(512, "EFI PART")                             ? "a GPT (bytes 512..519)"
                         : holds(32769, "CD001") && header_.cluster_bits > 15 ? "an ISO 9660 image (bytes 32769..32773)"
                                                                              : nullptr;
    if (second != nullptr)
      throw refused(path_.string() + " is two formats at once", "ask the sender for a clean image (qemu-img convert)",
                    {std::string("the qcow2 header is followed by ") + second})
          .as(code::ambiguous_format);
  }

  void check_tables() {
    check_compression();
    if (header_.extended_l2() && header_.cluster_bits < 14)
      throw damaged(file_, field(20, 4) + "extended L2 entries need clusters of 16 KiB, not " +
                               std::to_string(header_.cluster_size()) + " bytes");
    if (header_.refcount_order > 6)
      throw damaged(file_, field(96, 4) + "refcount_order is " + std::to_string(header_.refcount_order) + ", not 0..6");
    if (header_.size > INT64_MAX)
      throw Error(path_.string() + " has a virtual size that overflows", "get a sound copy of the file",
                  {field(24, 8) + "size " + std::to_string(header_.size)})
          .as(code::invalid_size);
    if (header_.snapshots > max_snapshots)
      throw damaged(file_, field(60, 4) + "nb_snapshots is " + std::to_string(header_.snapshots));
    check_l1();
    const std::uint64_t refcount_bytes = std::uint64_t{header_.refcount_table_clusters} << header_.cluster_bits;
    if (refcount_bytes > max_refcount_table_bytes)
      throw damaged(file_,
                    field(56, 4) + "refcount_table_clusters is " + std::to_string(header_.refcount_table_clusters));
    check_place("refcount table", field(48, 8) + "refcount_table_offset", header_.refcount_table_offset,
                refcount_bytes);
    if (header_.snapshots != 0)  // an entry has at least 40 bytes
      check_place("snapshot table", field(64, 8) + "snapshots_offset", header_.snapshots_offset,
                  std::uint64_t{header_.snapshots} * 40);
  }

  void check_compression() {
    const unsigned type = header_.length >= compression_length ? std::to_integer<unsigned>(first_[104]) : 0;
    if (header_.version == 2) return;
    if (((header_.incompatible & incompatible_compression) != 0) != (type != 0))
      throw damaged(file_, field(104, 1) + "compression type " + std::to_string(type) +
                               " contradicts incompatible feature bit 3");
    if (type > 1)
      throw refused(path_.string() + " needs a qcow2 feature that kiln does not know",
                    "write it again without that feature (qemu-img convert)",
                    {field(104, 1) + "compression type " + std::to_string(type)})
          .as(code::unsupported);
    header_.compression = type == 1 ? Compression::zstd : Compression::deflate;
  }

  void check_l1() const {
    const std::uint64_t bytes = std::uint64_t{header_.l1_entries} * 8;
    if (bytes > max_l1_bytes)
      throw damaged(file_, field(36, 4) + "the L1 table has " + std::to_string(header_.l1_entries) + " entries");
    if (header_.l1_entries < header_.l1_needed())
      throw damaged(file_, field(36, 4) + "the L1 table has " + std::to_string(header_.l1_entries) + " entries, size " +
                               std::to_string(header_.size) + " needs " + std::to_string(header_.l1_needed()));
    if (bytes != 0) check_place("L1 table", field(40, 8) + "l1_table_offset", header_.l1_offset, bytes);
  }

  void check_place(const char* what, const std::string& name, std::uint64_t offset, std::uint64_t length) const {
    if (offset % header_.cluster_size() != 0 || (offset == 0 && length != 0))
      throw damaged(file_, name + " is " + hex(offset) + ", not a cluster of its own");
    if (length > file_size_ || offset > file_size_ - length)
      throw truncated(file_, std::string("the qcow2 ") + what, offset + length < offset ? UINT64_MAX : offset + length);
  }

  const File& file_;
  const std::filesystem::path& path_;
  std::uint64_t file_size_;
  Header header_;
  std::vector<std::byte> first_;  // the header's cluster, as far as the file has it
};

}  // namespace

Image open_image(File file, bool is_layer) {
  const std::uint64_t file_size = file.size();
  Header header = Parser(file, file_size).parse(is_layer);
  return {std::move(file), file_size, header};
}

}  // namespace kiln::qcow2
