#pragma once
// An initramfs made by hand.

#include <cstdio>
#include <string>
#include <vector>

namespace kiln::test {

/// A cpio archive (newc) of files that all hold `content`.
inline std::string cpio_of(const std::vector<std::string>& names, const std::string& content = {}) {
  std::string out;
  const auto add = [&](const std::string& name, const std::string& bytes) {
    char header[111];
    std::snprintf(header, sizeof header, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1, 0100644, 0, 0,
                  1, 0, static_cast<unsigned>(bytes.size()), 0, 0, 0, 0, static_cast<unsigned>(name.size() + 1), 0);
    out += header + name + '\0';
    out.resize((out.size() + 3) / 4 * 4);
    out += bytes;
    out.resize((out.size() + 3) / 4 * 4);
  };
  for (const std::string& name : names) add(name, content);
  add("TRAILER!!!", {});
  return out;
}

}  // namespace kiln::test
