// make_pipeline_seeds FOLDER: the corpus that fuzz_pipeline starts from.

#include <cstdio>
#include <filesystem>

#include <kiln/file.h>

#include "pipelines.h"

int main(int argc, char** argv) try {
  if (argc != 2) return 2;
  std::filesystem::create_directories(argv[1]);
  std::size_t number = 0;
  const kiln::fuzz::Pipelines pipelines;
  for (const std::string& seed : pipelines.seeds())
    kiln::write_text(std::filesystem::path(argv[1]) / ("seed-" + std::to_string(number++)), seed);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
