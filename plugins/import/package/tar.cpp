#include "package/tar.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <utility>

#include <kiln/finding.h>
#include <kiln/text.h>

#include "unpack/libarchive.h"

namespace kiln::import {
namespace {

constexpr std::uint64_t block = 512;
constexpr std::size_t most_members = 1000, longest_name = 255;
// Writers fill the last record; the largest that anybody sets is GNU tar's -b 2048.
constexpr std::uint64_t most_padding = 1 << 20;
constexpr const char* ask = "ask whoever made it for an archive of plain files";

std::string at(std::uint64_t offset) {
  return "tar header at byte " + std::to_string(offset);
}

Error unsafe(const File& file, const std::string& what, std::uint64_t header, const std::string& proof) {
  return refused(file.path().string() + " has " + what, ask, {at(header) + ": " + proof}).as(code::archive);
}

std::string kind_of(archive_entry* entry) {
  if (::archive_entry_hardlink(entry) != nullptr) return "a hard link";
  switch (::archive_entry_filetype(entry)) {
    case AE_IFREG:
      return "";
    case AE_IFLNK:
      return "a symbolic link";
    case AE_IFDIR:
      return "a folder";
    case AE_IFIFO:
      return "a pipe";
    case AE_IFCHR:
    case AE_IFBLK:
      return "a device";
    default:
      return "something that is no file";
  }
}

/// The folder that was packed, as "tar -C folder ." names it, and what macOS' tar says of each file beside it.
bool means_nothing(archive_entry* entry, const std::string& name) {
  return (name == "." && ::archive_entry_filetype(entry) == AE_IFDIR) || name.starts_with("._");
}

/// "./web.ovf" is "web.ovf".
std::string without_folder(std::string name) {
  if (name == "./") return ".";
  return name.starts_with("./") ? name.substr(2) : name;
}

/// What XenServer and XCP-ng export: folders of pieces of a MiB each.
void refuse_xva(const File& file, const std::string& first) {
  if (first == "ova.xml")
    throw refused(file.path().string() + " is an XVA, which kiln does not read",
                  "export the machine's disks as VHD, or the machine as OVF", {"its first member is \"ova.xml\""})
        .as(code::unsupported);
}

void check_kind(const File& file, archive_entry* entry, const std::string& name, std::uint64_t header) {
  if (const std::string kind = kind_of(entry); !kind.empty())
    throw unsafe(file, kind + " in it", header, in_quotes(name));
  if (!is_plain_name(name)) throw unsafe(file, "a member whose name is none of a plain file", header, in_quotes(name));
  if (const auto mode = ::archive_entry_perm(entry); (mode & (S_ISUID | S_ISGID)) != 0)
    throw unsafe(file, "a member that would run as somebody else", header, in_quotes(name));
}

/// Where libarchive says that the data is, there they are.
void check_data(const File& file, ArchiveReader& reader, const Member& member) {
  const void* bytes = nullptr;
  std::size_t size = 0;
  la_int64_t offset = 0;
  const std::uint64_t first = member.runs.empty() ? 0 : member.runs.front().offset;
  const std::uint64_t length = member.stored.value_or(member.size);
  if (length == 0) return;
  reader.must(::archive_read_data_block(reader.get(), &bytes, &size, &offset));
  size = std::min<std::uint64_t>(size, member.runs.empty() ? length : member.runs.front().length);
  std::vector<std::byte> there(size);
  file.read_at(member.offset, there);
  if (std::cmp_not_equal(offset, first) || std::memcmp(there.data(), bytes, size) != 0)
    throw damaged(file, "the member " + in_quotes(member.name) + " is not stored as it is", code::archive);
}

/// After the last member come two blocks of zeros, of which some writers leave out the second, and more of them up to
/// the end of the record. Nothing else: another format's footer would make it two things at once.
void check_end(const File& file, std::uint64_t end) {
  const std::uint64_t size = file.size();
  if (size - end > most_padding)
    throw refused(file.path().string() + " has something after the archive's end", ask,
                  {"the last member ends at byte " + std::to_string(end) + ", the file at " + std::to_string(size)})
        .as(code::archive);
  std::vector<std::byte> rest(size - end);
  file.read_at(end, rest);
  const auto junk = std::ranges::find_if(rest, [](std::byte b) { return b != std::byte{0}; });
  if (junk != rest.end())
    throw refused(file.path().string() + " has something after the archive's end", ask,
                  {"byte " + std::to_string(end + static_cast<std::uint64_t>(junk - rest.begin())) + " is not zero"})
        .as(code::archive);
}

}  // namespace

bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= longest_name && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos && printable(name) == name;
}

bool is_tar(const File& file) {
  std::array<std::byte, block> head{};
  return file.read_some(0, head) == block && std::memcmp(head.data() + 257, "ustar", 5) == 0;
}

std::vector<Member> members_of_tar(const File& file) {
  ArchiveReader reader(file, ::archive_read_support_format_tar);
  std::vector<Member> members;
  std::set<std::string> names;
  const std::uint64_t size = file.size();
  std::uint64_t end = 0;
  for (;;) {
    if (size < end || size - end < block) throw truncated(file, "the archive's end mark", end + block);
    const std::optional<std::uint64_t> with_holes = check_map(file, end);
    archive_entry* entry = reader.next();
    if (entry == nullptr) break;
    const auto header = static_cast<std::uint64_t>(::archive_read_header_position(reader.get()));
    const la_int64_t stored = ::archive_entry_size(entry);
    Member member{without_folder(ArchiveReader::name_of(entry)), reader.position(), static_cast<std::uint64_t>(stored)};
    if (end == 0) refuse_xva(file, member.name);
    const bool nothing = means_nothing(entry, member.name);
    if (names.size() == most_members)
      throw unsafe(file, "more than " + std::to_string(most_members) + " members", header, in_quotes(member.name));
    // What libarchive skipped must be what the member holds, or the data would lie elsewhere.
    if (header != end) throw damaged(file, at(header) + ": one is due at byte " + std::to_string(end), code::archive);
    if (member.name != "." || !nothing) check_kind(file, entry, member.name, header);
    member.stored = with_holes;
    const std::uint64_t taken = with_holes.value_or(member.size);
    if (stored < 0 || member.offset > size || taken > size - member.offset)
      throw truncated(file, "the member " + in_quotes(member.name),
                      stored < 0 || taken > UINT64_MAX - member.offset ? UINT64_MAX : member.offset + taken);
    if (!names.insert(member.name).second)
      throw unsafe(file, "two members of one name", header, in_quotes(member.name));
    if (!with_holes && ::archive_entry_sparse_reset(entry) > 0)
      throw unsafe(file, "a member with holes of a kind that kiln does not know", header, in_quotes(member.name));
    if (with_holes) member.runs = runs_of(file, entry, member.offset, *with_holes);
    check_data(file, reader, member);
    end = (member.offset + taken + block - 1) / block * block;
    if (!nothing) members.push_back(std::move(member));
  }
  check_end(file, end);
  return members;
}

}  // namespace kiln::import
