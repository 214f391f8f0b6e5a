// bench_catalog_list CATALOG COUNT: records COUNT images of one small disk, as publishing would, but for the bytes.

#include <cstdio>
#include <iostream>
#include <string>

#include <kiln/error.h>

#include "catalog/fixture.h"
#include "catalog/store.h"

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: bench_catalog_list CATALOG COUNT\n"), 2;
  try {
    kiln::LocalCatalog catalog(argv[1]);
    const auto disk = kiln::test::make_disk(1 << 20, 1);
    kiln::Facts facts{{"arch", "x86_64"},   {"boot.firmware", "uefi"},   {"os.id", "debian"},
                      {"os.version", "12"}, {"source.kind", "pipeline"}, {"pipeline", "web"}};
    const kiln::Image first = kiln::test::publish(catalog, disk, {"base", "1", "", 0, facts}).image;
    for (int i = 1, count = std::stoi(argv[2]); i < count; ++i) {
      kiln::NewImage add;
      add.image = first;
      add.image.id = kiln::random_id();
      add.image.name = "web" + std::to_string(i % 100);
      add.image.version = std::to_string(i);
      add.region = kiln::home_region;
      add.owner = "local";
      if (i % 50 == 0) add.channel = "stable";
      add.parents = {first.id};
      add.disk.disk = {first.content, first.virtual_size, 12};
      (void)catalog.view().store().images.add(add);
    }
    return 0;
  } catch (const kiln::Error& error) {
    std::cerr << "error: " << error.what() << "\nhelp: " << error.hint() << '\n';
    return 1;
  }
}
