// bench_disk FILE [SIZE-MIB DATA-MIB [SEED]]: a raw disk, of 8 GiB with 1.8 GiB of data when not told otherwise. A
// third of the data is random, the rest like text, in pieces as a file system leaves them, which use about a quarter of
// the disk. The same bytes on every machine.

#include <cstdio>
#include <string>
#include <vector>

#include "support/disks.h"

int main(int argc, char** argv) {
  using namespace kiln;
  if (argc != 2 && argc != 4 && argc != 5)
    return std::fprintf(stderr, "usage: bench_disk FILE [SIZE-MIB DATA-MIB [SEED]]\n"), 2;
  const std::uint64_t MiB = 1 << 20, size = (argc > 2 ? std::stoull(argv[2]) : 8192) * MiB,
                      data = (argc > 2 ? std::stoull(argv[3]) : 1843) * MiB,
                      seed = argc > 4 ? std::stoull(argv[4]) * 1'000'000 : 0;
  File file = File::create(argv[1]);
  file.truncate(size);
  std::vector<std::byte> buffer;
  std::uint64_t written = 0, at = 0;
  for (std::uint64_t n = 0; written < data; ++n) {
    const std::uint64_t length = (n % 5 + 1) * 3 * MiB + (n % 7) * 52 * 1024;
    buffer.resize(std::min(length, data - written));
    test::fill(buffer, n % 3 == 0 ? test::Piece::Kind::random : test::Piece::Kind::text, seed + n);
    file.write_at(at, buffer);
    written += buffer.size();
    at += (length + length * 3 + 4095) / 4096 * 4096;  // about a quarter of the disk is used
  }
  std::printf("%llu bytes of data up to %llu\n", static_cast<unsigned long long>(written),
              static_cast<unsigned long long>(at));
  return at < size ? 0 : 1;
}
