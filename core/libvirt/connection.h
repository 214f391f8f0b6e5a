#pragma once
// A connection to a libvirt daemon, its objects' lifetimes, and its errors as ours.

#include <libvirt/libvirt.h>

#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include <kiln/error.h>
#include <kiln/value.h>

namespace kiln {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using DomainHandle = std::unique_ptr<virDomain, Freed<virDomainFree>>;
using PoolHandle = std::unique_ptr<virStoragePool, Freed<virStoragePoolFree>>;
using VolumeHandle = std::unique_ptr<virStorageVol, Freed<virStorageVolFree>>;
using StreamHandle = std::unique_ptr<virStream, Freed<virStreamFree>>;

/// "<what>: <what libvirt said last on this thread>", as an Error.
Error libvirt_error(const std::string& what, std::string hint = {});
/// The code of what it said last, of virterror.h.
int last_libvirt_error();

/// Keeps a connection open. Any thread may use it; calls block until the daemon has answered. A daemon that does not
/// even answer a ping for 15 s is given up: what waits for it then fails.
class Connection {
 public:
  /// `uri` as libvirt understands it; empty: libvirt's own default. Over ssh nothing is ever asked: keys must do.
  explicit Connection(const std::string& uri);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  virConnectPtr get() const { return connection_; }
  /// As the daemon calls itself; differs from what was given when that was empty.
  std::string uri() const;
  bool alive() const { return virConnectIsAlive(connection_) == 1; }

 private:
  virConnectPtr connection_;
};

/// A call in a thread of its own, for what may hang: connecting, above all. It must own all that it uses, because who
/// waits may give it up. Throws what it throws; nothing when it is not done at `until`; cancelled() on `stop`.
template <class T>
class Patience {
 public:
  explicit Patience(std::function<T()> call) {
    std::packaged_task<T()> task(std::move(call));
    future_ = task.get_future();
    std::thread(std::move(task)).detach();
  }
  std::optional<T> wait(std::chrono::steady_clock::time_point until, const std::stop_token& stop = {}) {
    while (future_.wait_for(std::chrono::milliseconds(20)) != std::future_status::ready) {
      if (stop.stop_requested()) throw cancelled();
      if (std::chrono::steady_clock::now() >= until) return std::nullopt;
    }
    return future_.get();
  }

 private:
  std::future<T> future_;
};

/// The connections of one kiln: each host's is opened once. Any thread may use it.
class Connections {
 public:
  /// Opens it when there is none that is alive. May hang for as long as ssh or the network please.
  std::shared_ptr<Connection> open(const std::string& uri);

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Connection>> open_;
};

}  // namespace kiln
