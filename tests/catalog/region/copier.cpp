// Copies web:1 into a bucket and dies in the middle: catalog_copier HOME BUCKET-URL CACHE

#include <csignal>
#include <iostream>

#include "catalog/region/regions.h"

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    const kiln::FolderRegion home = kiln::test::folder_region("local", argv[1], "alice");
    kiln::BucketRegion west("west", kiln::test::bucket_place(argv[2]), {"alice", false}, argv[3]);
    kiln::CopyOptions options;
    options.progress = [](std::uint64_t done, std::uint64_t total) {
      if (done >= total / 2) std::raise(SIGKILL);
    };
    (void)kiln::copy_image(home, home.resolve("web:1", kiln::Action::copy), west, options);
    return 0;
  } catch (const kiln::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
