// The right number, another standard library.
#include <kiln/plugin.h>

extern "C" KILN_API const ::kiln::Entry* kiln_plugin() {
  static const ::kiln::Entry entry{::kiln::abi, "libc++15", reinterpret_cast<const ::kiln::Stage*>(8), nullptr};
  return &entry;
}
