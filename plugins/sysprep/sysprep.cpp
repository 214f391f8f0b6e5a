// Takes away what makes the guest one certain machine, so that an image of it can become many.
#include <kiln/plugin.h>

#include <algorithm>

#include "operations.h"

namespace kiln::sysprep {
namespace {

struct Params {
  std::vector<std::string> operations;
  std::vector<std::string> skip;
};

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const Operation& o : operations()) all.push_back(o.name);
  return all;
}

bool has(const std::vector<std::string>& list, const std::string& name) {
  return std::ranges::find(list, name) != list.end();
}

void perform(Guest& g, const Operation& operation, Tally& tally) {
  for (const std::string& pattern : operation.remove)
    for (const std::string& path : g.glob(pattern)) remove_counted(g, path, tally);
  for (const std::string& folder : operation.empty) empty_counted(g, folder, tally);
  if (operation.act != nullptr) operation.act(g, tally);
}

class Sysprep final : public StageOf<Params> {
 public:
  Sysprep()
      : StageOf({.name = "sysprep", .summary = "Remove what belongs to one machine: identities, keys, logs, caches."},
                {{"operations", &Params::operations, "Operations to do; default: all of them."},
                 {"skip", &Params::skip, "Operations to leave out."}}) {}

 protected:
  void check(const Params& p, Check& c) const override {
    for (const auto& [param, list] : {std::pair("operations", &p.operations), std::pair("skip", &p.skip)})
      for (std::size_t i = 0; i < list->size(); ++i) {
        if (has(names(), (*list)[i])) continue;
        const auto near = nearest((*list)[i], names());
        c.problem(std::string(param) + '[' + std::to_string(i) + ']', "there is no operation \"" + (*list)[i] + '"',
                  near ? "did you mean \"" + *near + "\"?" : "the README of sysprep lists them");
      }
    const bool any = std::ranges::any_of(operations(), [&](const Operation& o) { return wanted(p, o); });
    if (!any) c.problem("skip", "nothing is left to do");
  }

  void run(Context& ctx, const Params& p) const override {
    std::vector<const Operation*> todo;
    for (const Operation& o : operations())
      if (wanted(p, o)) todo.push_back(&o);
    Guest& g = ctx.guest();
    g.exists("/");  // starts the appliance and mounts, before the first operation is counted
    Tally tally;
    for (std::size_t i = 0; i < todo.size(); ++i) {
      ctx.progress(
          {Progress::Unit::operations, static_cast<double>(i), static_cast<double>(todo.size()), todo[i]->name});
      const Tally before = tally;
      perform(g, *todo[i], tally);
      ctx.log(todo[i]->name + ": " + std::to_string(tally.files - before.files) + " files, " +
              format_bytes(tally.bytes - before.bytes));
    }
    for (const std::string& warning : tally.warnings) ctx.warn(warning);
    ctx.summary(std::to_string(todo.size()) + " operations, " + std::to_string(tally.files) + " files, " +
                format_bytes(tally.bytes) + " removed");
  }

 private:
  static bool wanted(const Params& p, const Operation& o) {
    return (p.operations.empty() || has(p.operations, o.name)) && !has(p.skip, o.name);
  }
};

}  // namespace
}  // namespace kiln::sysprep

KILN_STAGE(kiln::sysprep::Sysprep)
