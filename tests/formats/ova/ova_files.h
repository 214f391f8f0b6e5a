#pragma once
// OVAs that kiln writes, and how others and kiln itself read them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include <kiln/testing.h>

#include "disk/pump.h"
#include "support/disks.h"
#include "support/plugins.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln::test {

inline const Format& ova() {
  static const Format& format = load_format("ova");
  return format;
}

/// Of a machine with these disks.
inline void pack_ova(const std::vector<const BlockReader*>& disks, const std::filesystem::path& out,
                     const Table& options = {}, const Facts& known = {}, unsigned workers = 2) {
  std::vector<std::uint64_t> sizes;
  for (const BlockReader* disk : disks) sizes.push_back(disk->size());
  const auto package = ova().pack_with(out, sizes, known, options);
  for (const BlockReader* disk : disks) {
    BlockSink& sink = package->next_disk();
    BlockSink* const sinks[] = {&sink};
    pump(*disk, sinks, {.workers = workers});
    sink.finish();
  }
  package->finish([](std::uint64_t, std::uint64_t) {});
}

/// Returns the digest of the disk's content.
inline Digest write_ova(const BlockReader& disk, const std::filesystem::path& out, const Table& options = {},
                        unsigned workers = 2) {
  const auto sink = ova().create_with(out, disk.size(), options);
  BlockSink* const sinks[] = {sink.get()};
  const PassResult result = pump(disk, sinks, {.workers = workers});
  sink->finish();
  return result.content;
}

inline std::string must(const std::vector<std::string>& command) {
  const Outcome done = run(command);
  EXPECT_EQ(done.status, 0) << done.output;
  return done.output;
}

/// A member's text.
inline std::string member(const std::filesystem::path& ova, const std::string& name) {
  return must({"tar", "-xOf", ova.string(), name});
}

/// The import stage's reading of it, which verifies the manifest.
struct Taken {
  explicit Taken(const std::filesystem::path& ova) {
    for (const char* name : {"raw", "vmdk"}) ctx.fake_formats.formats[name] = &load_format(name);
    load_stage("import").run_with(ctx, {{"file", Value{ova}}});
  }
  const Facts& facts() const { return ctx.known_facts; }
  fakes::FakeContext ctx;
};

}  // namespace kiln::test
