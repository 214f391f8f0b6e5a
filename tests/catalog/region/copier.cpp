// Copies web:1 into a region and dies in the middle: catalog_copier HOME BUCKET-URL CACHE, or: catalog_copier HOME
// FOLDER

#include <chrono>
#include <csignal>
#include <iostream>
#include <thread>

#include "catalog/region/regions.h"

namespace {

namespace fs = std::filesystem;

/// Of the largest pack that is staged.
std::uintmax_t staged_bytes(const fs::path& catalog) {
  std::uintmax_t bytes = 0;
  for (const auto& entry : fs::directory_iterator(catalog / "staging"))
    if (entry.path().extension() == ".pack") bytes = std::max(bytes, entry.file_size());
  return bytes;
}

/// Dies when half of it is sent.
void copy_to_bucket(const kiln::FolderRegion& home, char** words) {
  kiln::BucketRegion west("west", kiln::test::bucket_place(words[0]), {"alice", false}, words[1]);
  kiln::CopyOptions options;
  options.progress = [](std::uint64_t done, std::uint64_t total) {
    if (done >= total / 2) std::raise(SIGKILL);
  };
  (void)kiln::copy_image(home, home.resolve("web:1", kiln::Action::copy), west, options);
}

/// Dies when a part of its pack is on the disk: what is in memory yet is lost.
void copy_to_folder(const kiln::FolderRegion& home, const fs::path& folder) {
  kiln::FolderRegion west = kiln::test::folder_region("west", folder, "alice");
  kiln::CopyOptions options;
  options.progress = [&](std::uint64_t done, std::uint64_t total) {
    if (done < total) return;
    for (int i = 0; i < 1000 && staged_bytes(folder) < (4u << 20); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    std::raise(SIGKILL);
  };
  (void)kiln::copy_image(home, home.resolve("web:1", kiln::Action::copy), west, options);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) return 2;
  try {
    const kiln::FolderRegion home = kiln::test::folder_region("local", argv[1], "alice");
    if (argc == 4)
      copy_to_bucket(home, argv + 2);
    else
      copy_to_folder(home, argv[2]);
    return 0;
  } catch (const kiln::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
