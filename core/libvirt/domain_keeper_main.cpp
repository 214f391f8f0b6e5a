// kiln-domain-keeper: what has to be done for a domain although kiln may be killed. Started by kiln itself.
//   kiln-domain-keeper freeze URI UUID LIMIT-MS
//   kiln-domain-keeper backup URI UUID FOLDER
#include <exception>
#include <string_view>

#include "libvirt/domain_keeper.h"
#include "machine/keeper.h"

int main(int argc, char** argv) {
  const std::string_view what = argc == 5 ? argv[1] : "";
  try {
    if (what == "freeze") return kiln::freeze_domain({argv[2], argv[3]}, kiln::milliseconds(argv[4]));
    if (what == "backup") return kiln::end_backup_when_left({argv[2], argv[3]}, argv[4], 0);
    return 2;
  } catch (const std::exception&) {
    return 1;
  }
}
