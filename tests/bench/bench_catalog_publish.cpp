// bench_catalog_publish CATALOG FILE FORMAT [--known | --below FILE FORMAT]: publishes a disk with the pump, and prints
// what it took as one line of JSON.
//
// --known: the disk is the newest image of the catalog, and its manifest says so. --below: FILE is a qcow2 overlay over
// another file, which is the newest image of the catalog: as a pipeline publishes a derived disk.

#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>

#include "catalog/local_catalog.h"
#include "disk/manifest.h"
#include "disk/pump.h"
#include "support/plugins.h"

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::shared_ptr<const kiln::BlockReader> open(const char* file, const char* format,
                                              std::shared_ptr<const kiln::BlockReader> below = nullptr) {
  return kiln::test::load_format(format).open(file, std::move(below));
}

int run(int argc, char** argv) {
  const Clock::time_point start = Clock::now();
  const std::string mode = argc > 4 ? argv[4] : "";
  kiln::LocalCatalog catalog(argv[1]);
  const auto disk = open(argv[2], argv[3], mode == "--below" ? open(argv[5], argv[6]) : nullptr);
  kiln::PassOptions options;
  std::optional<kiln::Manifest> manifest;
  if (!mode.empty()) {
    manifest = catalog.manifest(catalog.show("bench").image);
    options.known = &*manifest;
    options.known_is_whole = mode == "--known";
  }
  const auto sink = catalog.publish({"bench", "", "", disk->size(), {}});
  kiln::BlockSink* sinks[] = {sink.get()};
  kiln::pump(*disk, sinks, options);
  const double pumped = seconds_since(start);
  sink->finish();
  const double done = seconds_since(start);
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  std::printf(
      "{\"seconds\": %.3f, \"finish\": %.3f, \"cpu\": %.3f, \"peak_mib\": %ld, \"chunks\": %llu, \"new_chunks\": %llu, "
      "\"stored_mib\": %llu}\n",
      done, done - pumped,
      static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
          1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec),
      usage.ru_maxrss / 1024, static_cast<unsigned long long>(sink->all_chunks()),
      static_cast<unsigned long long>(sink->new_chunks()),
      static_cast<unsigned long long>(sink->image().stored_bytes >> 20));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 4 ? argv[4] : "";
  if (argc != 4 && !(argc == 5 && mode == "--known") && !(argc == 7 && mode == "--below")) {
    std::cerr << "usage: bench_catalog_publish CATALOG FILE FORMAT [--known | --below FILE FORMAT]\n";
    return 2;
  }
  try {
    return run(argc, argv);
  } catch (const kiln::Error& error) {
    std::cerr << "error: " << error.what() << "\nhelp: " << error.hint() << '\n';
    return 1;
  }
}
