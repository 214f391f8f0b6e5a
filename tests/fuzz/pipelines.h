#pragma once
// One hostile pipeline file: whatever the text is, the answer is a plan or a list of what is wrong.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::fuzz {

/// The loader and the planner with all plugins of this build, over an empty home. Nothing is ever run. One thread.
class Pipelines {
 public:
  Pipelines();
  Pipelines(const Pipelines&) = delete;
  Pipelines& operator=(const Pipelines&) = delete;
  ~Pipelines();

  /// Loads the text and, when nothing is wrong with it, plans it. Returns what is wrong with kiln, or nothing: an
  /// exception that is no kiln::Error, a problem without words or at a place that the text does not have.
  std::string exercise(std::string_view text);

  /// How many of the texts were planned, because nothing was wrong with them.
  std::size_t planned() const;

  /// Pipelines to begin with: those of the project, and one for each stage with every parameter that it has.
  const std::vector<std::string>& seeds() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The `number`-th mutation of a text: always the same. Values of other types, huge ones and broken ones; lines that
/// are gone, there twice or elsewhere; bytes that are no text.
std::string mutated_text(const std::string& seed, std::uint64_t number);

}  // namespace kiln::fuzz
