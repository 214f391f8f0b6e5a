#include <kiln/plugin.h>

#include "mishap.h"

namespace kiln {
namespace {

struct Item {
  std::string path, content;
  static const Schema<Item>& schema() {
    static const Schema<Item> s{{"path", &Item::path, "Where.", required}, {"content", &Item::content, "What."}};
    return s;
  }
};

struct Params {
  std::int64_t at = 1;
  std::int64_t byte = 65;
  bool guest = true;
  Bytes resize;
  std::string mishap, after;
  std::string password;
  InputPath upload;
  std::vector<Item> files;
  std::vector<std::string> words;
  Duration timeout{1000};
  std::string mode = "fast";
};

class Edit final : public StageOf<Params> {
 public:
  Edit()
      : StageOf({.name = "t-edit", .summary = "Writes a byte over and over into a chunk."},
                {{"at", &Params::at, "Number of the chunk."},
                 {"byte", &Params::byte, "Value of the byte."},
                 {"guest", &Params::guest, "Whether to open the guest at all."},
                 {"resize", &Params::resize, "New size."},
                 {"mishap", &Params::mishap, "What goes wrong before."},
                 {"after", &Params::after, "What goes wrong after."},
                 {"password", &Params::password, "A secret.", secret},
                 {"upload", &Params::upload, "A file."},
                 {"files", &Params::files, "Records."},
                 {"words", &Params::words, "A call of the appliance, instead of the byte."},
                 {"timeout", &Params::timeout, "A time."},
                 {"mode", &Params::mode, {"fast", "small"}, "A choice."}}) {}

 protected:
  void check(const Params& p, Check& c) const override {
    if (p.at < 0) c.problem("at", "\"at\" cannot be negative", "count from 0");
  }
  void run(Context& ctx, const Params& p) const override {
    test::suffer(p.mishap, ctx);
    if (p.resize.count != 0) ctx.resize(p.resize.count);
    if (!p.words.empty()) {
      ctx.guest().call(p.words);
    } else if (p.guest) {
      ctx.guest().call(
          {"write", std::to_string(static_cast<std::uint64_t>(p.at) * chunk_size), std::to_string(p.byte)});
    }
    ctx.facts()["edited." + std::to_string(p.at)] = std::to_string(p.byte);
    ctx.summary("chunk " + std::to_string(p.at));
    test::suffer(p.after, ctx);
  }
};

}  // namespace
}  // namespace kiln

KILN_STAGE(kiln::Edit)
