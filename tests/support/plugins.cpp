#include "support/plugins.h"

#include <dlfcn.h>

#include <stdexcept>

#include <kiln/testing.h>

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

void add_to(std::vector<std::string>& all, const Problems& problems) {
  for (const Problem& p : problems) all.push_back(p.param + ": " + p.what);
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

Table typed_for(const Stage& stage, const Table& given, std::vector<std::string>& wrong) {
  Problems problems;
  Table table = typed(given, stage.about().params, problems);
  add_to(wrong, problems);
  return table;
}

std::vector<std::string> problems_of(const Stage& stage, const Table& given) {
  std::vector<std::string> all;
  const Table table = typed_for(stage, given, all);
  if (!all.empty()) return all;
  const fakes::FakeFormats formats;
  fakes::FakeCheck check(formats);
  stage.check_with(table, check);
  add_to(all, check.problems);
  return all;
}

}  // namespace kiln::test
