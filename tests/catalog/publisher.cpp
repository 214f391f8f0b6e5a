// Publishes one generated disk:
// catalog_publisher FOLDER NAME VERSION SEED MIB [FILE-SIZE-LIMIT-KIB [DATABASE [TERM REACHED GO]]]
// TERM: of its lease, in seconds. When everything is stored it makes the file REACHED, and waits for GO before it
// records. Exit code 0, or 1 with the error as "what | hint". Prints the number of new chunks.

#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <iostream>
#include <thread>

#include "catalog/store.h"
#include "fixture.h"

namespace {

void publish_with_a_stop(kiln::LocalCatalog& catalog, const kiln::BlockReader& disk, char** argv) {
  catalog.view().store().lease_term = std::chrono::seconds(std::stoi(argv[8]));
  const auto sink = catalog.publish({argv[2], argv[3], "", disk.size(), {}});
  kiln::test::copy_disk(disk, *sink, false);
  std::ofstream{argv[9]} << "reached";
  while (!std::filesystem::exists(argv[10])) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  sink->finish();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  try {
    if (const rlim_t limit = argc > 6 ? std::stoul(argv[6]) * 1024 : 0; limit > 0) {
      const rlimit both{limit, limit};
      ::setrlimit(RLIMIT_FSIZE, &both);
      std::signal(SIGXFSZ, SIG_IGN);
    }
    kiln::LocalCatalog catalog(argv[1], {"local", false}, argc > 7 ? argv[7] : "");
    const auto disk = kiln::test::make_disk(std::stoul(argv[5]) << 20, std::stoul(argv[4]));
    if (argc > 10) {
      publish_with_a_stop(catalog, disk, argv);
      return 0;
    }
    std::cout << kiln::test::publish(catalog, disk, {argv[2], argv[3], "", 0, {}}).new_chunks << '\n';
    return 0;
  } catch (const kiln::Error& error) {
    std::cerr << error.what() << " | " << error.hint() << '\n';
    return 1;
  }
}
