#pragma once
// Whether an instance still runs what its image's name means today.

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "cli/output.h"
#include "cli/services.h"
#include "machine/instances.h"

namespace kiln::cli {

struct Drift {
  enum class State {
    unknown,  ///< no catalog answers, or it has no such image for this account
    current,
    newer,  ///< a newer version is out, or the channel leads to one
    moved,  ///< the name or the channel leads back to an older one
  };
  State state = State::unknown;
  std::string name;          ///< the reference that was asked: "web", "web:stable"
  std::string to, to_id;     ///< what it means now: "web:2"
  std::string text() const;  ///< "web:2 is newer"; empty when there is nothing to tell
};

Json to_json(const Drift&);

/// Asks the catalog once for each image. A catalog that cannot be asked is no error.
class DriftCheck {
 public:
  explicit DriftCheck(Services& services) : services_(services) {}
  Drift of(const Instance&);

 private:
  Drift ask(const Instance&);
  Services& services_;
  std::optional<CatalogView> view_;
  bool out_of_reach_ = false;
  std::map<std::pair<std::string, std::string>, Drift> known_;
};

}  // namespace kiln::cli
