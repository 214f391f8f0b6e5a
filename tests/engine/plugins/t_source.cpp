#include <fstream>
#include <mutex>

#include <kiln/plugin.h>
#include <kiln/testing.h>

#include "mishap.h"

namespace kiln {
namespace {

struct Params {
  std::string text = "base";
  Bytes size{1u << 20};
  std::filesystem::path reads;
  std::string mishap, reading, beside, memory;
  bool build = false;
};

/// Writes down what is read of it.
class Watched final : public BlockReader {
 public:
  Watched(const Params& p) : params_(p), disk_(p.text, p.size.count) {}
  std::uint64_t size() const override { return disk_.size(); }
  Extent extent_at(std::uint64_t offset) const override { return disk_.extent_at(offset); }
  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    if (params_.reading == "error") throw Error("the disk is damaged");
    if (params_.reading == "kill") std::raise(SIGKILL);
    const std::lock_guard lock(mutex_);
    if (!params_.reads.empty()) std::ofstream(params_.reads, std::ios::app) << offset << ' ' << into.size() << '\n';
    disk_.read(offset, into);
  }

 private:
  Params params_;
  fakes::MemoryDisk disk_;
  mutable std::mutex mutex_;
};

class Source final : public StageOf<Params, Role::source> {
 public:
  Source()
      : StageOf({.name = "t-source", .summary = "A disk that begins with a text."},
                {{"text", &Params::text, "What it begins with."},
                 {"size", &Params::size, "Its size."},
                 {"reads", &Params::reads, "A file for a line per read."},
                 {"mishap", &Params::mishap, "What goes wrong."},
                 {"reading", &Params::reading, "What goes wrong when it is read."},
                 {"beside", &Params::beside, "What a second disk begins with."},
                 {"memory", &Params::memory, "Of the machine."},
                 {"build", &Params::build, "Build it in an empty disk."}}) {}

 protected:
  bool still_there(const Params& p, const Facts&, Catalog&) const override { return p.beside.empty(); }

  void run(Context& ctx, const Params& p) const override {
    test::suffer(p.mishap, ctx);
    ctx.facts()["source.kind"] = "test";
    if (!p.memory.empty()) ctx.facts()["machine.memory"] = p.memory;
    if (!p.beside.empty()) ctx.add_part(part_role::data, "disk1", fakes::MemoryDisk(p.beside, p.size.count));
    ctx.summary("made of \"" + p.text + '"');
    if (!p.build) return ctx.produce(std::make_shared<Watched>(p));
    ctx.produce_empty(p.size.count);
    ctx.guest().call({"write", "0", std::to_string(static_cast<int>(p.text[0]))});
  }
};

}  // namespace
}  // namespace kiln

KILN_STAGE(kiln::Source)
