// kiln-keeper: what has to be done for a guest although kiln may be killed. Started by kiln itself.
//   kiln-keeper freeze AGENT-SOCKET PATIENCE-MS LIMIT-MS     see freezer.h
//   kiln-keeper clear MONITOR-SOCKET                         see fleece.h
#include <exception>
#include <string_view>

#include <nlohmann/json.hpp>

#include "machine/fleece.h"
#include "machine/freezer.h"
#include "machine/keeper.h"

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  try {
    if (what == "freeze" && argc == 5)
      return kiln::run_freezer(argv[2], kiln::milliseconds(argv[3]), {.limit = kiln::milliseconds(argv[4])});
    if (what == "clear" && argc == 3) return kiln::clear_when_left(argv[2], 0);
    return 2;
  } catch (const std::exception&) {
    return 1;
  }
}
