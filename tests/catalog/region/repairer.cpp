// Repairs a catalog from another one, to be killed and kept from writing: catalog_repairer HOME OTHER
// Exit code 0, 1 with the error, or 3 when something could not be mended.

#include <iostream>

#include "catalog/region/regions.h"
#include "catalog/region/repair.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    kiln::LocalCatalog home(argv[1], {"operator", true});
    const kiln::FolderRegion other = kiln::test::folder_region("west", argv[2], "operator");
    return kiln::repair(home, {}, other).left.empty() ? 0 : 3;
  } catch (const kiln::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
