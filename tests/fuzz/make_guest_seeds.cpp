// make_guest_seeds INITRAMFS GUEST: the corpora that fuzz_initramfs and fuzz_guest start from, each into its folder.

#include <cstdio>
#include <exception>
#include <filesystem>

#include <kiln/file.h>

#include "guests.h"
#include "initramfs.h"

namespace {

void write(const std::filesystem::path& file, std::span<const std::byte> bytes) {
  std::filesystem::create_directories(file.parent_path());
  std::filesystem::remove(file);
  kiln::File::create(file).write_at(0, bytes);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) return std::fputs("usage: make_guest_seeds INITRAMFS GUEST\n", stderr), 2;
  const std::filesystem::path initramfs = argv[1], guest = argv[2];
  for (const kiln::fuzz::Seed& seed : kiln::fuzz::initramfs_seeds()) write(initramfs / seed.name, seed.bytes);
  std::size_t number = 0;
  for (const std::string& seed : kiln::fuzz::guest_seeds())
    write(guest / ("seed-" + std::to_string(number++)), std::as_bytes(std::span(seed)));
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "make_guest_seeds: %s\n", error.what());
  return 1;
}
