#pragma once
// The stage import with a server of the test program's own.

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include <kiln/testing.h>

#include "support/file_server.h"
#include "support/plugins.h"
#include "support/temp.h"
#include "support/values.h"

namespace kiln::test {

struct NoOptions {};

/// Enough of a format: a file is its own disk.
class WholeFile final : public FormatOf<NoOptions> {
 public:
  WholeFile() : FormatOf({.name = "plain", .summary = "A file is its own disk."}, Schema<NoOptions>{}) {}
  Match probe(const Glimpse&) const override { return Match::weak; }
  Inspection inspect(const File& file) const override {
    return {.format = "plain", .variant = "", .virtual_size = file.size(), .file_size = file.size(), .details = {}};
  }
  std::shared_ptr<const BlockReader> open(File file, std::shared_ptr<const BlockReader>) const override {
    std::vector<std::byte> bytes(file.size());
    file.read_at(0, bytes);
    return std::make_shared<fakes::MemoryDisk>(std::move(bytes));
  }

 protected:
  std::unique_ptr<BlockSink> create(const std::filesystem::path&, std::uint64_t, const NoOptions&) const override {
    return nullptr;
  }
};

/// Bytes that do not repeat at any distance that matters here.
inline std::string random_bytes(std::size_t size, unsigned seed = 1) {
  std::string out(size, '\0');
  std::uint32_t state = seed * 2654435761U + 1;
  for (char& c : out) {
    state = state * 1664525U + 1013904223U;
    c = static_cast<char>(state >> 24);
  }
  return out;
}

class Fetching : public ::testing::Test {
 protected:
  Fetching() {
    static const WholeFile format;
    ctx.fake_formats.formats["plain"] = &format;
    ctx.fake_formats.detected = "plain";
    server().requests();
  }

  static FileServer& server() {
    static FileServer one;
    return one;
  }

  /// What a pipeline would say, typed; the server may be reached, and nobody waits long.
  static Table params(Table given) {
    if (!given.contains("allow")) given["allow"] = texts({"127.0.0.1"});
    if (!given.contains("timeout")) given["timeout"] = text("2s");
    if (!given.contains("retries")) given["retries"] = number(2);
    std::vector<std::string> wrong;
    Table table = typed_for(load_stage("import"), given, wrong);
    for (const std::string& line : wrong) ADD_FAILURE() << line;
    return table;
  }
  void run(Table given) {
    ctx.produced.reset();
    load_stage("import").run_with(ctx, params(std::move(given)));
  }
  void get(const std::string& rest, Table more = {}) {
    more["url"] = text(server().url(rest));
    run(std::move(more));
  }
  /// Why it failed.
  Error failure(Table given) {
    try {
      run(std::move(given));
    } catch (const Error& error) {
      EXPECT_FALSE(ctx.produced);
      return error;
    }
    return Error("it did not fail");
  }
  Error failure_of(const std::string& rest, Table more = {}) {
    more["url"] = text(server().url(rest));
    return failure(std::move(more));
  }
  std::string content() const {
    if (!ctx.produced) return "nothing";
    std::string out(ctx.produced->size(), '\0');
    ctx.produced->read(0, std::as_writable_bytes(std::span(out)));
    return out;
  }
  std::vector<std::string> cached() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(ctx.cache() / "downloads"))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }

  fakes::FakeContext ctx;
};

inline Duration timed(const std::function<void()>& what) {
  const auto begin = std::chrono::steady_clock::now();
  what();
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - begin);
}

}  // namespace kiln::test
