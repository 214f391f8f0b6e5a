#include <kiln/plugin.h>

namespace kiln {
namespace {

struct Params {};

class Renamed final : public StageOf<Params> {
 public:
  Renamed() : StageOf({.name = "original", .summary = "Lies in a file of another name."}, Schema<Params>{}) {}

 protected:
  void run(Context&, const Params&) const override {}
};

}  // namespace
}  // namespace kiln

KILN_STAGE(kiln::Renamed)
