#include <kiln/plugin.h>

namespace {
using namespace kiln;

struct Params {
  std::string text = "hello";
};

class Hello final : public StageOf<Params> {
 public:
  Hello()
      : StageOf({.name = "hello", .summary = "Leave a greeting in /etc/motd."},
                {{"text", &Params::text, "What to say."}}) {}

  void run(Context& ctx, const Params& p) const override {
    ctx.guest().write("/etc/motd", p.text + "\n");
    ctx.summary("said \"" + p.text + "\"");
  }
};
}  // namespace

KILN_STAGE(Hello)
