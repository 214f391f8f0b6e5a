// kiln region list: where images can be copied to and from.
#include <nlohmann/json.hpp>

#include "cli/output.h"
#include "cli/regions.h"
#include "cli/verbs.h"

namespace kiln::cli {

int run_region_list(Call& call) {
  const std::vector<RegionPlace> places = region_places(call.services);
  if (call.out.json()) {
    Json regions = Json::array();
    for (const RegionPlace& place : places)
      regions.push_back({{"name", place.name}, {"kind", place.kind}, {"place", place.place}});
    call.out.object({{"regions", regions}});
    return 0;
  }
  TextTable table{{"NAME", "KIND", "PLACE"}};
  for (const RegionPlace& place : places) table.rows.push_back({place.name, place.kind, place.place});
  call.out.table(table);
  return 0;
}

}  // namespace kiln::cli
