#include <gmock/gmock.h>

#include "support/plugins.h"
#include "support/values.h"

namespace kiln {
namespace {

using test::texts;
using testing::ElementsAre;

std::vector<std::string> problems(const Table& given) {
  return test::problems_of(test::load_stage("sysprep"), given);
}

TEST(SysprepCheck, KnowsItsOperations) {
  EXPECT_THAT(problems({}), ElementsAre());
  EXPECT_THAT(problems({{"skip", texts({"mail", "logs"})}}), ElementsAre());
  EXPECT_THAT(problems({{"operations", texts({"machine_id"})}, {"skip", texts({"colour"})}}),
              ElementsAre("operations[0]: there is no operation \"machine_id\"",
                          "skip[0]: there is no operation \"colour\"", "skip: nothing is left to do"));
  EXPECT_THAT(problems({{"operations", texts({"mail"})}, {"skip", texts({"mail"})}}),
              ElementsAre("skip: nothing is left to do"));
}

}  // namespace
}  // namespace kiln
