// One change of a catalog in a process of its own, to be killed and kept from writing:
//   catalog_operation CATALOG publish NAME SEED | remove NAME | collect | copy NAME OTHER-CATALOG
// Exit code 0, or 1 with the error as "what | hint".

#include <iostream>

#include "catalog/region/copy.h"
#include "catalog/region/folder_region.h"
#include "fixture.h"

namespace {

constexpr std::uint64_t size = 1 << 20;

void carry_out(const std::vector<std::string>& words) {
  const kiln::Account account{"local", true};
  const auto catalog = std::make_shared<kiln::LocalCatalog>(words.at(0), account);
  if (words.at(1) == "publish") {
    (void)kiln::test::publish(*catalog, kiln::test::make_disk(size, std::stoul(words.at(3))),
                              {words.at(2), "1", "", 0, {}});
  } else if (words.at(1) == "remove") {
    (void)catalog->remove(words.at(2));
  } else if (words.at(1) == "collect") {
    (void)catalog->collect();
  } else {
    kiln::FolderRegion from("here", catalog), to("there", std::make_shared<kiln::LocalCatalog>(words.at(3), account));
    (void)kiln::copy_image(from, from.resolve(words.at(2), kiln::Action::copy), to);
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    carry_out({argv + 1, argv + argc});
    return 0;
  } catch (const kiln::Error& error) {
    std::cerr << error.what() << " | " << error.hint() << '\n';
    return 1;
  }
}
