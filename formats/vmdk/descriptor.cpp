#include "descriptor.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <set>
#include <span>

namespace kiln::vmdk {
namespace {

using Text = std::string_view;

constexpr Text mark = "# disk descriptorfile";
constexpr std::uint64_t most_sectors = std::uint64_t{INT64_MAX} / 512;
/// Each keeps a file open. Hosted products cut a disk into extents of 2047 MiB.
constexpr std::size_t max_extents = 768;

/// A createType and the types of extents that may be in it.
struct Known {
  Text create_type;
  std::array<Text, 3> extents;
  bool one = false;  ///< exactly one extent
};
constexpr std::array known{
    Known{"monolithicSparse", {"SPARSE"}, true},     Known{"streamOptimized", {"SPARSE"}, true},
    Known{"monolithicFlat", {"FLAT"}, true},         Known{"twoGbMaxExtentSparse", {"SPARSE", "ZERO"}},
    Known{"2GbMaxExtentSparse", {"SPARSE", "ZERO"}}, Known{"twoGbMaxExtentFlat", {"FLAT", "ZERO"}},
    Known{"2GbMaxExtentFlat", {"FLAT", "ZERO"}},     Known{"vmfs", {"VMFS", "ZERO"}},
    Known{"vmfsSparse", {"VMFSSPARSE", "ZERO"}},
};
/// Those that are a device of the host that made them.
constexpr std::array<Text, 7> devices{
    "fullDevice", "partitionedDevice",          "vmfsRaw", "vmfsRDM", "vmfsRawDeviceMap",
    "vmfsRDMP",   "vmfsPassthroughRawDeviceMap"};
/// Settings that matter to whoever writes to the disk, not to its content.
constexpr std::array<Text, 5> harmless{"version", "encoding", "CID", "isNativeSnapshot", "changeTrackPath"};
/// What programs that search for words would find in a comment.
constexpr std::array<Text, 4> settings{"createType", "parentCID", "parentFileNameHint", "CID="};

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_word(Text a, Text b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

Text without_end_blanks(Text s) {
  while (!s.empty() && (s.back() == ' ' || s.back() == '\r')) s.remove_suffix(1);
  return s;
}

/// Takes the characters up to the next single blank off `rest`.
Text next_word(Text& rest) {
  const std::size_t end = std::min(rest.find(' '), rest.size());
  const Text word = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return word;
}

bool number(Text s, std::uint64_t& value) {
  if (s.empty() || s.front() < '0' || s.front() > '9') return false;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), value);
  return error == std::errc() && end == s.data() + s.size();
}

/// Strips quotes. False when there is one only, or one within.
bool unquote(Text& s) {
  if (s.size() >= 2 && s.front() == '"' && s.back() == '"') s = s.substr(1, s.size() - 2);
  return s.find('"') == Text::npos;
}

bool is_plain(Text name) {
  if (name.empty() || name.size() > 255 || name == "." || name == "..") return false;
  return std::ranges::none_of(name, [](char c) {
    return c == '/' || c == '\\' || c == ':' || static_cast<unsigned char>(c) < ' ' || c == 0x7f;
  });
}

class Parser {
 public:
  Parser(const File& file, bool embedded) : file_(file), embedded_(embedded) {}

  Descriptor run(Text text) {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      ++line_;
      take(text.substr(at, end - at));
      at = end + 1;
    }
    finish();
    return std::move(found_);
  }

 private:
  void take(Text whole) {
    Text s = without_end_blanks(whole);
    // Xen Orchestra indented what it put into its disks. Where names mean nothing, neither do blanks.
    if (embedded_) s.remove_prefix(std::min(s.find_first_not_of(' '), s.size()));
    check_characters(s);
    const bool after_blank = blank_;
    blank_ = s.empty();
    if (s.empty()) return;
    if (s.front() == '#' || (s.starts_with("/*") && s.ends_with("*/"))) return take_comment(s);
    if (looks_like_extent(s)) return take_extent(s, after_blank);
    if (s.front() == ' ') throw not_understood(s, code::damaged);
    const std::size_t equals = s.find('=');
    if (equals == Text::npos) throw not_understood(s, code::damaged);
    Text value = s.substr(equals + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    take_setting(s, without_end_blanks(s.substr(0, equals)), value);
  }

  void check_characters(Text s) {
    for (const char c : s) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < ' ' || byte == 0x7f)
        throw not_understood(s, looks_like_extent(s) ? code::external_extent : code::damaged);
      if (byte >= 0x80) ascii_ = false;
    }
  }

  void take_comment(Text s) {
    for (const Text setting : settings)
      if (s.find(setting) != Text::npos) throw not_understood(s, code::damaged);
  }

  /// Also what other programs would read as one: indented, with tabs.
  static bool looks_like_extent(Text s) {
    const std::size_t start = s.find_first_not_of(" \t");
    if (start == Text::npos) return false;
    const Text word = s.substr(start, std::min(s.find_first_of(" \t", start), s.size()) - start);
    return same_word(word, "RW") || same_word(word, "RDONLY") || same_word(word, "NOACCESS");
  }

  /// ACCESS SIZE TYPE "name" [offset], with single blanks.
  void take_extent(Text s, bool after_blank) {
    const Text all = s;
    ExtentLine extent;
    extent.line = line_;
    const Text access = next_word(s), size = next_word(s);
    extent.type = next_word(s);
    if (!number(size, extent.sectors) || extent.sectors == 0 || extent.sectors > most_sectors)
      throw not_understood(all, code::external_extent);
    // A program that scans across line ends finds such an extent twice: the blank line belongs to both.
    if (after_blank && !embedded_) throw extent_refused(all, "it follows a blank line, and programs disagree on that");
    if (access != "RW" && !(embedded_ && access == "RDONLY"))
      throw extent_refused(all, "it is not for reading and writing");
    take_place(all, s, extent);
    if (found_.extents.size() == max_extents)
      throw refused(file_.path().string() + " consists of more than " + std::to_string(max_extents) + " files",
                    "make one file of it: vmware-vdiskmanager -r disk.vmdk -t 0 one.vmdk", {where(all)})
          .as(code::unsupported);
    found_.extents.push_back(std::move(extent));
  }

  void take_place(Text all, Text rest, ExtentLine& extent) {
    if (extent.type == "ZERO") {
      if (!rest.empty()) throw not_understood(all, code::external_extent);
      return;
    }
    const bool flat = extent.type == "FLAT";
    extent.kind = flat || extent.type == "VMFS" ? ExtentLine::Kind::flat : ExtentLine::Kind::sparse;
    const std::size_t close = rest.find('"', 1);
    if (!rest.starts_with('"') || close == Text::npos) throw not_understood(all, code::external_extent);
    extent.name = rest.substr(1, close - 1);
    rest.remove_prefix(close + 1);
    if (flat && embedded_) throw extent_refused(all, "it is another file than the one that it is in");
    const bool has_offset = rest.starts_with(' ') && number(rest.substr(1), extent.offset);
    if (flat ? !has_offset || extent.offset > most_sectors - extent.sectors : !rest.empty())
      throw not_understood(all, code::external_extent);
    if (!embedded_ && !is_plain(extent.name)) throw extent_refused(all, "its name is no plain one");
    if (!names_.insert(extent.name).second) throw extent_refused(all, "its name is given twice");
  }

  void take_setting(Text s, Text key, Text value) {
    if (key.starts_with("ddb.")) return take_database(s, key, value);
    const bool quoted = value.starts_with('"');
    if (!unquote(value) || (key == "createType" && !quoted)) throw not_understood(s, code::damaged);
    if (same_word(key, "parentFileNameHint") || (key == "parentCID" && !same_word(value, "ffffffff")))
      throw parent_needed(s);
    if (key.starts_with("encryption")) throw encrypted(s);
    if (!seen_.insert(std::string(key)).second)
      throw damaged(file_, where(s) + ": the setting is there twice",
                    key == "createType" ? code::external_extent : code::damaged);
    if (key == "createType")
      found_.create_type = value;
    else if (key == "encoding")
      encoding_ = value;
    else if (key == "version" ? value != "1" && value != "2" && value != "3"
                              : key != "parentCID" && std::ranges::find(harmless, key) == harmless.end())
      throw not_understood(s, code::damaged);
  }

  /// "The Disk Data Base": facts for virtual hardware, of which a few say that the content is not all here.
  void take_database(Text s, Text key, Text value) {
    if (key.starts_with("ddb.nativeParent")) throw parent_needed(s);
    if (key == "ddb.iofilters" && value.find("crypt") != Text::npos) throw encrypted(s);
    if (key == "ddb.adapterType" && unquote(value)) found_.adapter = value;
  }

  void finish() {
    if (!embedded_ && !ascii_ && !encoding_.empty() && !same_word(encoding_, "UTF-8"))
      throw refused(file_.path().string() + " has a descriptor in an encoding that kiln does not read",
                    "rename the disk's files to plain ASCII names and write them into the descriptor",
                    {"VMDK descriptor: encoding " + in_quotes(encoding_) + ", and characters beyond ASCII"})
          .as(code::unsupported);
    const auto type = std::ranges::find(known, Text(found_.create_type), &Known::create_type);
    if (type == known.end()) throw unknown_type();
    if (embedded_ != is_monolithic(found_.create_type))
      throw refused(file_.path().string() + (embedded_ ? " names other files in the descriptor that lies within it"
                                                       : " is the descriptor of a disk that carries its own"),
                    embedded_ ? "convert it with the program that wrote it" : "give the disk's file itself",
                    {"VMDK descriptor: createType " + in_quotes(found_.create_type)})
          .as(code::external_extent);
    for (const ExtentLine& e : found_.extents)
      if (e.type.empty() || std::ranges::find(type->extents, Text(e.type)) == type->extents.end())
        throw damaged(file_,
                      "VMDK descriptor, line " + std::to_string(e.line) + ": an extent of type " + in_quotes(e.type) +
                          " in a disk of type " + in_quotes(found_.create_type),
                      code::external_extent);
    if (found_.extents.empty() || (type->one && found_.extents.size() != 1))
      throw damaged(file_,
                    "VMDK descriptor: " + std::to_string(found_.extents.size()) + " extents in a disk of type " +
                        in_quotes(found_.create_type),
                    code::external_extent);
  }

  Error unknown_type() const {
    const std::string& type = found_.create_type;
    const bool device = std::ranges::find(devices, Text(type)) != devices.end();
    if (type.empty()) return damaged(file_, "VMDK descriptor: no createType", code::external_extent);
    return refused(file_.path().string() + (device ? " stands for a device of the host that made it"
                                                   : " is a VMDK of a type that kiln does not read"),
                   "convert it on the host that made it (vmware-vdiskmanager -r, vmkfstools -i)",
                   {"VMDK descriptor: createType " + in_quotes(type)})
        .as(device ? code::external_extent : code::unsupported);
  }

  std::string where(Text s) const { return "VMDK descriptor, line " + std::to_string(line_) + ": " + in_quotes(s); }
  Error not_understood(Text s, std::string_view name) const {
    return damaged(file_, where(s) + " is not understood", name);
  }
  Error extent_refused(Text s, const std::string& why) const {
    return refused(file_.path().string() + " names an extent that is not taken",
                   "an extent is a plain file name in the descriptor's folder, once, as RW", {where(s) + ": " + why})
        .as(code::external_extent);
  }
  Error parent_needed(Text s) const {
    return refused(file_.path().string() + " is a differencing VMDK: it holds only what differs from its parent",
                   "consolidate the snapshots first, and give the whole disk", {where(s)})
        .as(code::parent_needed);
  }
  Error encrypted(Text s) const {
    return refused(file_.path().string() + " is encrypted", "remove the encryption with the program that made it",
                   {where(s)})
        .as(code::encrypted);
  }

  const File& file_;
  bool embedded_;
  unsigned line_ = 0;
  bool blank_ = false, ascii_ = true;
  std::string encoding_;
  std::set<std::string> seen_, names_;
  Descriptor found_;
};

}  // namespace

bool is_descriptor(std::span<const std::byte> head) {
  Text text(reinterpret_cast<const char*>(head.data()), head.size());
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  return same_word(text.substr(0, mark.size()), mark);
}

bool is_monolithic(Text create_type) {
  return create_type == "monolithicSparse" || create_type == "streamOptimized";
}

Descriptor parse(const File& file, Text text, bool embedded) {
  return Parser(file, embedded).run(text);
}

}  // namespace kiln::vmdk
