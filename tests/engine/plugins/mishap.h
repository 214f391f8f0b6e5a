#pragma once
// What a test stage can be told to suffer.

#include <csignal>
#include <stdexcept>
#include <string>
#include <thread>

#include <kiln/context.h>

namespace kiln::test {

inline void suffer(const std::string& mishap, Context& ctx) {
  if (mishap == "kill") std::raise(SIGKILL);
  if (mishap == "error") throw Error("the test wants it so", "want something else", {"evidence"});
  if (mishap == "exception") throw std::runtime_error("boom");
  if (mishap == "int") throw 7;
  if (mishap == "forget-parent") ctx.facts().erase("parent");
  if (mishap == "log") {
    ctx.log("a line");
    throw Error("it failed after a line");
  }
  if (mishap == "hang")
    while (true) {
      ctx.progress({Progress::Unit::operations, 0, 0, "hanging"});
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
}

}  // namespace kiln::test
