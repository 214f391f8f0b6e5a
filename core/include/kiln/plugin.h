#pragma once
// The plugin boundary. A plugin is one shared library, kiln-stage-<name>.so or kiln-format-<name>.so: its file name is
// its registration. It ends with KILN_STAGE(Type) or KILN_FORMAT(Type).

#include <cstdint>

#include <kiln/format.h>
#include <kiln/stage.h>

namespace kiln {

/// Raised with every change of a header in this folder that a built plugin could notice.
inline constexpr std::uint32_t abi = 4;

/// What a plugin exports. Plain data: `abi` and `toolchain` never move, so that a stranger is refused before any C++
/// object of its is touched. Exactly one of the pointers is set; what it points to is never destroyed.
struct Entry {
  std::uint32_t abi;
  const char* toolchain;
  const Stage* stage;
  const Format* format;
};

#define KILN_STR2(x) #x
#define KILN_STR(x) KILN_STR2(x)
#ifdef _GLIBCXX_DEBUG
#define KILN_DEBUG_STL "/debug-stl"
#else
#define KILN_DEBUG_STL ""
#endif

/// What must be equal for C++ types to mean the same on both sides: the standard library, not the compiler.
inline constexpr char toolchain[] =
    "libstdc++" KILN_STR(_GLIBCXX_RELEASE) "/" KILN_STR(__cplusplus) "/cxx11=" KILN_STR(_GLIBCXX_USE_CXX11_ABI)
        KILN_DEBUG_STL;

}  // namespace kiln

#define KILN_PLUGIN_(Type, stage, format)                                            \
  extern "C" KILN_API const ::kiln::Entry* kiln_plugin() {                           \
    static const Type plugin;                                                        \
    static const ::kiln::Entry entry{::kiln::abi, ::kiln::toolchain, stage, format}; \
    return &entry;                                                                   \
  }
#define KILN_STAGE(Type) KILN_PLUGIN_(Type, &plugin, nullptr)
#define KILN_FORMAT(Type) KILN_PLUGIN_(Type, nullptr, &plugin)
