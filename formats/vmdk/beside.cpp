#include "beside.h"

#include <sys/stat.h>

#include <cerrno>

#include <kiln/finding.h>

namespace kiln::vmdk {
namespace {

struct stat status_of(const File& file) {
  struct stat st {};
  if (::fstat(file.fd(), &st) != 0) throw system_error("cannot stat " + file.path().string(), errno);
  return st;
}

}  // namespace

Beside::Beside(const File& descriptor) : descriptor_(descriptor) {
  if (descriptor.is_part())
    throw refused(descriptor.path().string() + " names files beside it, and it lies within another file",
                  "unpack it, and give the descriptor", {"VMDK descriptor within an archive"})
        .as(code::external_extent);
  const struct stat st = status_of(descriptor);
  seen_.insert({st.st_dev, st.st_ino});
}

// Opening follows a link, and looking first is not enough: the name may change in between. So what was opened must be
// what the name itself is.
File Beside::open(const std::string& name) {
  const std::filesystem::path path = descriptor_.path().parent_path() / name;
  const std::string evidence = "VMDK descriptor: extent " + in_quotes(name);
  const auto no_file = [&](const char* what) {
    return refused(descriptor_.path().string() + " names an extent that is not taken",
                   "an extent is a file of its own in the descriptor's folder", {evidence + what})
        .as(code::external_extent);
  };
  struct stat named {};
  if (::lstat(path.c_str(), &named) != 0)
    throw Error("an extent of " + descriptor_.path().string() + " is not there",
                "put all files of the disk into one folder", {system_error(evidence, errno).what()})
        .as(code::external_extent);
  if (!S_ISREG(named.st_mode)) throw no_file(" is no regular file");
  File file = File::open_read(path);
  const struct stat opened = status_of(file);
  if (!S_ISREG(opened.st_mode) || opened.st_dev != named.st_dev || opened.st_ino != named.st_ino)
    throw no_file(" is no regular file");
  if (!seen_.insert({opened.st_dev, opened.st_ino}).second)
    throw no_file(" is the same file as another one of the disk");
  return file;
}

}  // namespace kiln::vmdk
