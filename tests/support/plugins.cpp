#include "support/plugins.h"

#include <dlfcn.h>

#include <stdexcept>

namespace kiln::test {
namespace {

const Entry& load(const std::string& library) {
  const std::string path = std::string(KILN_PLUGIN_DIR) + "/" + library;
  void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw std::runtime_error(::dlerror());
  const auto entry = reinterpret_cast<const Entry* (*)()>(::dlsym(handle, "kiln_plugin"));
  if (entry == nullptr) throw std::runtime_error(path + " exports no kiln_plugin");
  return *entry();
}

}  // namespace

const Format& load_format(const std::string& name) {
  const Entry& entry = load("kiln-format-" + name + ".so");
  if (entry.format == nullptr) throw std::runtime_error(name + " is no format");
  return *entry.format;
}

const Stage& load_stage(const std::string& name) {
  const Entry& entry = load("kiln-stage-" + name + ".so");
  if (entry.stage == nullptr) throw std::runtime_error(name + " is no stage");
  return *entry.stage;
}

}  // namespace kiln::test
