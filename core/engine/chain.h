#pragma once
// How every stage of a pipeline stands: its key, and whether there is anything to do. The plan prints it, the runner
// follows it.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <kiln/catalog.h>

#include "engine/key.h"
#include "engine/layers.h"
#include "engine/pipeline.h"
#include "engine/plan.h"

namespace kiln::engine {

/// Where the kiln home keeps what the engine remembers.
class Home {
 public:
  explicit Home(std::filesystem::path root) : root_(std::move(root)) {}

  std::filesystem::path layers() const { return root_ / "layers"; }
  std::filesystem::path logs() const { return root_ / "logs"; }
  std::filesystem::path cache() const { return root_ / "cache"; }
  std::filesystem::path inputs() const { return cache() / "files.json"; }
  /// Records of sources and sinks, which have no layer.
  std::filesystem::path done(const std::string& key) const { return root_ / "done" / (key + ".json"); }
  /// What the last run of a pipeline of this name did at this place: for `--why` and for estimates.
  std::filesystem::path last(const std::string& pipeline, std::size_t number) const;
  /// The mark that an --again left at a change's key; read by nonce().
  std::filesystem::path again(const std::string& key) const { return root_ / "again" / key; }
  std::string nonce(const std::string& key) const;

  const std::filesystem::path& root() const noexcept { return root_; }

 private:
  std::filesystem::path root_;
};

/// One stage, in the order of the pipeline.
struct Link {
  State state = State::unknown;
  std::string why;
  Key key;                       ///< empty while unknown
  std::string below;             ///< the chain's key before this stage; empty for a source, and while unknown
  std::string before;            ///< what the key was made of: `below`, and for a sink what the machine has beside
  std::string position;          ///< the chain's key after it; empty while unknown
  std::string plain_key;         ///< changes: the key without the mark of an --again
  std::optional<Record> record;  ///< of the run that made it, when hit
  std::optional<Record> last;    ///< of the last run of this pipeline at this place
};

/// What decides, besides the pipeline and the home.
struct ChainOptions {
  std::set<std::size_t> again;               ///< numbers of stages
  std::map<std::size_t, std::string> nonce;  ///< for changes in `again`
  std::optional<Record> source;              ///< the source ran already, in this run
  std::string parts = {};                    ///< and this is beside its disk: text that tells parts apart
  std::string account = {};                  ///< Services::account
};

/// The numbers of the stages that `--again` names, by name or number. Throws invalid() when one fits none.
std::set<std::size_t> stages_named(const Pipeline&, const std::vector<std::string>& again);

std::vector<Link> make_chain(const Pipeline&, const Home&, const Layers&, Catalog&, const ChainOptions&);

}  // namespace kiln::engine
