#pragma once
// What belongs to one machine and must not be in an image of many, as data.

#include <string>
#include <string_view>
#include <vector>

#include <kiln/guest.h>

namespace kiln::sysprep {

/// Counts what an operation did.
struct Tally {
  std::uint64_t files = 0, bytes = 0;
  std::vector<std::string> warnings = {};  ///< what the user should know although the operation went on
};

/// One operation. `remove` and `empty` are patterns of the guest's paths; `act` does what patterns cannot say.
struct Operation {
  std::string name, summary;
  std::vector<std::string> remove = {};  ///< files and trees that go
  std::vector<std::string> empty = {};   ///< trees whose files stay and become empty, because programs expect them
  void (*act)(Guest&, Tally&) = nullptr;
};

/// All of them, in the order in which they run. The last makes the free space read as zeros.
const std::vector<Operation>& operations();

/// Removes a file or a tree and counts what it held.
void remove_counted(Guest&, const std::string& path, Tally&);
/// Empties the files of a tree and removes rotated ones.
void empty_counted(Guest&, const std::string& folder, Tally&);

}  // namespace kiln::sysprep
