#include "libvirt/download.h"

#include <exception>

#include <kiln/file.h>

namespace kiln {
namespace {

/// What libvirt's receivers give the next bytes to. They are C: what is thrown waits here.
class Target {
 public:
  Target(File& file, const std::stop_token& stop) : file_(file), stop_(stop) {}

  void receive(virStreamPtr stream) {
    if (virStreamSparseRecvAll(stream, write, skip, this) < 0) {
      const Error error = libvirt_error("cannot read the disk from its host");
      virStreamAbort(stream);
      if (thrown_) std::rethrow_exception(thrown_);
      throw error;
    }
    if (virStreamFinish(stream) != 0) throw libvirt_error("cannot read the disk from its host");
    file_.truncate(position_);
  }

 private:
  void append(const char* bytes, std::size_t size) {
    if (stop_.stop_requested()) throw cancelled();
    file_.write_at(position_, std::as_bytes(std::span(bytes, size)));
    position_ += size;
  }
  static int write(virStreamPtr, const char* bytes, std::size_t size, void* opaque) {
    auto& self = *static_cast<Target*>(opaque);
    try {
      self.append(bytes, size);
      return static_cast<int>(size);
    } catch (...) {
      self.thrown_ = std::current_exception();
      return -1;
    }
  }
  static int skip(virStreamPtr, long long length, void* opaque) {
    static_cast<Target*>(opaque)->position_ += static_cast<std::uint64_t>(length);
    return 0;
  }

  File& file_;
  const std::stop_token& stop_;
  std::uint64_t position_ = 0;
  std::exception_ptr thrown_;
};

}  // namespace

void download(const Connection& connection, const std::string& path, const std::filesystem::path& into,
              const std::stop_token& stop) {
  const VolumeHandle volume(virStorageVolLookupByPath(connection.get(), path.c_str()));
  if (!volume)
    throw libvirt_error("cannot read " + path, "is it in a storage pool of its host's? virsh pool-refresh looks again");
  const StreamHandle stream(virStreamNew(connection.get(), 0));
  if (!stream || virStorageVolDownload(volume.get(), stream.get(), 0, 0, VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM) != 0)
    throw libvirt_error("cannot read " + path);
  NewFile file(into);
  Target(file.file(), stop).receive(stream.get());
  file.keep();
}

}  // namespace kiln
