// bench_pass IN-FORMAT IN OUT-FORMAT OUT [WORKERS]: one pass as `kiln convert` makes it, without the program around it:
// for profiling the pump. OUT-FORMAT "none" only digests.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "disk/pump.h"
#include "support/plugins.h"

int main(int argc, char** argv) {
  using namespace kiln;
  if (argc < 5) return std::fprintf(stderr, "usage: bench_pass IN-FORMAT IN OUT-FORMAT OUT [WORKERS]\n"), 2;
  const auto start = std::chrono::steady_clock::now();
  const auto reader = test::load_format(argv[1]).open(argv[2]);
  std::unique_ptr<BlockSink> sink;
  if (std::string(argv[3]) != "none") sink = test::load_format(argv[3]).create_with(argv[4], reader->size(), {});
  BlockSink* const sinks[] = {sink.get()};
  const PassResult result = pump(*reader, std::span(sinks).first(sink ? 1 : 0),
                                 {.workers = argc > 5 ? static_cast<unsigned>(std::atoi(argv[5])) : 0});
  if (sink) sink->finish();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("%s %.3f s\n", to_hex(result.content).c_str(), took.count());
  return 0;
}
