#include "network.h"

#include "network_files.h"
#include "text.h"

namespace kiln::preflight {
namespace {

/// Not beside the originals: NetworkManager and ifup would take whatever lies there for settings.
const std::string saved = "/var/lib/kiln/saved";

/// Calls `work` with each file that binds the system to one machine.
template <class Work>
void for_each_static(Guest& g, Work work) {
  for (const NetworkFiles& kind : network_files())
    for (const std::string& path : glob_all(g, kind.patterns)) {
      const std::string name = path.substr(path.rfind('/') + 1);
      if (name.starts_with("ifcfg-") && !is_card(name.substr(6))) continue;
      const Lines lines = lines_of(text_of(g, path).value_or(""));
      const std::vector<std::size_t> marks = kind.marks(lines);
      if (!marks.empty()) work(kind, path, lines, marks);
    }
}

}  // namespace

Findings look_at_network(const System& system) {
  Finding out{.code = std::string(code::static_network),
              .severity = Severity::warning,
              .what = "the network is set up for one machine: elsewhere it may not be reached",
              .hint = "let it ask DHCP, and bind no settings to a card's address"};
  for_each_static(system.guest, [&](const NetworkFiles& kind, const std::string& path, Lines lines,
                                    const std::vector<std::size_t>& marks) {
    for (const std::size_t mark : marks) out.evidence.push_back(at_line(path, mark + 1, lines[mark]));
    out.mendable = kind.mend(lines) || out.mendable;
  });
  if (out.evidence.empty()) return {};
  shorten(out.evidence);
  return {out};
}

Mended mend_network(const System& system) {
  Guest& g = system.guest;
  Finding done{.code = std::string(code::static_network), .what = "mended: the network asks DHCP"};
  for_each_static(g,
                  [&](const NetworkFiles& kind, const std::string& path, Lines lines, const std::vector<std::size_t>&) {
                    if (!kind.mend(lines)) return;
                    const std::string original = saved + path;
                    g.make_directory(original.substr(0, original.rfind('/')));
                    g.call({"cp-a", path, original});
                    g.write(path, text_from(lines));
                    done.evidence.push_back(path + "; as it was: " + original);
                  });
  if (done.evidence.empty()) return {};
  shorten(done.evidence);
  return {.done = {done}};
}

}  // namespace kiln::preflight
