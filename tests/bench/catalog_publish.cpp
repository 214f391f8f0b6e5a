// Publishes a disk image file into a catalog, with the pump, and prints what it took as one line of JSON.
// tests/bench/catalog compares it with qemu-img and sha256sum.
//
//     bench_catalog_publish FILE FORMAT CATALOG [--known]
//
// FORMAT is raw, or the name of a built format plugin. --known: the disk is the newest image of the catalog, so that
// its manifest is known before anything is read.

#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>

#include "catalog/local_catalog.h"
#include "disk/manifest.h"
#include "disk/pump.h"
#include "support/disks.h"
#include "support/plugins.h"

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

int run(const std::string& file, const std::string& format, const std::string& folder, bool known) {
  const Clock::time_point start = Clock::now();
  kiln::LocalCatalog catalog(folder);
  const std::shared_ptr<const kiln::BlockReader> disk =
      format == "raw" ? std::make_shared<const kiln::test::RawDisk>(file) : kiln::test::load_format(format).open(file);
  kiln::PassOptions options;
  std::optional<kiln::Manifest> manifest;
  if (known) {
    manifest = catalog.manifest(catalog.show("bench").image);
    options.known = &*manifest;
    options.known_is_whole = true;
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
  if (argc < 4) {
    std::cerr << "usage: bench_catalog_publish FILE FORMAT CATALOG [--known]\n";
    return 2;
  }
  try {
    return run(argv[1], argv[2], argv[3], argc > 4 && std::string(argv[4]) == "--known");
  } catch (const kiln::Error& error) {
    std::cerr << "error: " << error.what() << "\nhelp: " << error.hint() << '\n';
    return 1;
  }
}
