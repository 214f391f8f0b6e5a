#pragma once
// What session.cpp, files.cpp and calls.cpp share of a session. Included by them only.

#include <optional>

#include "guest/appliance.h"
#include "guest/drive.h"
#include "guest/root.h"
#include "guest/session.h"

namespace kiln {

/// An open session's parts, in the order in which they depend on each other.
struct Session::State {
  enum class Mounted { nothing, root, by_hand };

  SessionOptions options;
  Listener listener;
  std::filesystem::path sockets;  ///< the folder for the export's socket
  bool own_sockets = false;       ///< made by us because run_dir's path is too long
  std::unique_ptr<Drive> drive;
  std::unique_ptr<Appliance> appliance;
  Duration launch_time{0};
  bool inspected = false;
  std::optional<Root> root;  ///< after inspection; nothing: no operating system
  Mounted mounted = Mounted::nothing;
  bool closed = false;

  /// The appliance, started at need. Throws cancelled() when stop was asked for.
  Appliance& running();
  /// The handle with file systems mounted: those that call("mount", …) put there, or else the operating system's.
  guestfs_h* files();
  void inspect();
  /// Mounts what the last inspection found; nothing may be mounted.
  void mount_os(bool read_only);
  void make_socket_folder();
  void flush();
  void log(std::string_view line) const;
  void end() noexcept;
  /// Refuses what reading or writing would block on or would not mean: FIFOs, devices, folders. A path that is not
  /// there passes.
  void need_regular(const std::string& path, const char* verb);
  /// A file of the host into the guest, by its name or by /proc/self/fd/N.
  void send(const std::string& host, const std::string& path);
};

}  // namespace kiln
