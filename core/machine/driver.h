#pragma once
// Instances that are no processes of this host: what keeps them there.
//
// core/machine knows QEMU on this host, and this interface; who implements it is put in by the program. The records
// stay in the home in either case, so that names, owners and uses of images are the same for both.

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include <kiln/value.h>

namespace kiln {

struct Instance;
struct Seed;
enum class Stopped;

/// Borrowed by Instances. Any thread may call it. Calls block, and throw Error with the host's own words.
class Driver {
 public:
  /// An open serial console.
  class Console {
   public:
    virtual ~Console() = default;
    /// A stream socket, both ways; it ends when the console does.
    virtual int socket() const = 0;
  };

  /// Fills in state and reason. Asks all hosts at once and waits for none longer than `limit`; a host that does not
  /// answer is no failure, but the reason why the state is unknown.
  virtual void look(const std::vector<Instance*>&, Duration limit) = 0;
  /// Makes it on the base that Instance::base names there, and starts it if `start`. On failure nothing is left there.
  virtual void launch(const Instance&, const Seed&, bool start, const std::stop_token&) = 0;
  /// One that does not run, on the disk that it has.
  virtual void start(const Instance&, const std::stop_token&) = 0;
  /// As Instances::stop().
  virtual Stopped stop(const Instance&, Duration limit, const std::stop_token&) = 0;
  /// Ends it at once, and removes all that its host has of it; what is not there any longer is no failure.
  virtual void remove(const Instance&) = 0;

  virtual std::string serial_text(const Instance&, std::uint64_t last_bytes) = 0;
  virtual std::unique_ptr<Console> open_console(const Instance&) = 0;

 protected:
  ~Driver() = default;
};

}  // namespace kiln
