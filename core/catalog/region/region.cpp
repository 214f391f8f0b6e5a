#include "catalog/region/region.h"

namespace kiln {

Region::~Region() = default;

}  // namespace kiln
