// make_seeds PLUGIN FOLDER: writes the corpus that a fuzz target starts from.

#include <cstdio>
#include <exception>

#include <kiln/file.h>

#include "exercise.h"
#include "seeds.h"

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: make_seeds PLUGIN FOLDER\n", stderr), 2;
  try {
    const std::filesystem::path folder = argv[2];
    std::filesystem::create_directories(folder);
    for (const kiln::fuzz::Seed& seed : kiln::fuzz::seeds(kiln::fuzz::load(argv[1]), folder)) {
      std::filesystem::remove(folder / seed.name);
      kiln::File::create(folder / seed.name).write_at(0, seed.bytes);
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "make_seeds: %s\n", e.what());
    return 1;
  }
  return 0;
}
