#pragma once
// The storage pool that kiln uses on a host: a folder there, whose files are volumes.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libvirt/connection.h"
#include "libvirt/domain_xml.h"

namespace kiln {

/// A file of the pool.
struct Volume {
  std::string name, path;
  std::string format;  ///< as libvirt took it: made so, or, after a restart of the daemon, guessed from its bytes
  std::uint64_t capacity = 0;
  std::int64_t modified = 0;  ///< seconds since 1970, by the host's clock; 0: not told
};

/// Borrows the connection's object. Errors name the host. One thread.
class Storage {
 public:
  static constexpr char pool_name[] = "kiln";

  /// The pool of the host, as whoever runs the host has defined it; made and started when there is none, in the folder
  /// that is usual for such a daemon. Throws Error when none is usual.
  explicit Storage(std::shared_ptr<Connection>, const std::string& uri);

  std::vector<Volume> volumes() const;
  std::optional<Volume> find(const std::string& name) const;
  /// Returns the path there. Fails when the name is taken, also by another kiln at the same moment.
  std::string create(const VolumeSpec&) const;
  /// The same, with the content of another volume, copied by the host itself.
  std::string create_copy(const VolumeSpec&, const std::string& of) const;
  void remove(const std::string& name) const;  ///< what is not there is no failure
  /// For upload.h.
  VolumeHandle open(const std::string& name) const;
  virConnectPtr connection() const { return connection_->get(); }
  /// The last bytes of a volume of raw text, as long as its file is now.
  std::string read_end(const std::string& name, std::uint64_t last_bytes) const;

 private:
  std::shared_ptr<Connection> connection_;
  PoolHandle pool_;
};

}  // namespace kiln
