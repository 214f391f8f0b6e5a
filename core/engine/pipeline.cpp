#include "engine/pipeline.h"

#include <algorithm>
#include <cctype>
#include <functional>
#include <set>

#include "engine/document.h"

namespace kiln::engine {
namespace {

namespace fs = std::filesystem;

/// "-" is the standard input and a URL is a URL: neither is a file of some folder. "./-" is one.
bool is_no_file(const std::string& path) {
  const std::size_t colon = path.find("://");
  const auto in_scheme = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '+'; };
  return path == "-" || (colon != std::string::npos && colon > 1 &&
                         std::all_of(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(colon), in_scheme));
}

/// Turns a Document into a Pipeline and collects every problem on the way.
class Loader {
 public:
  Loader(Document& document, const Registry& registry, const Settings& set, fs::path folder, fs::path cwd)
      : document_(document), registry_(registry), set_(set), folder_(std::move(folder)), cwd_(std::move(cwd)) {}

  Loaded load(const fs::path& file) {
    Loaded out{.pipeline = {.name = document_.name, .file = file, .steps = {}}, .problems = {}};
    check_settings();
    if (document_.stages.empty() && document_.problems.empty())
      document_.problem({}, "the pipeline has no stage", "begin each stage with [[stage]]");
    for (std::size_t i = 0; i < document_.stages.size(); ++i) step(i, out.pipeline);
    std::ranges::stable_sort(document_.problems, {},
                             [](const Diagnostic& d) { return std::pair(d.place.line, d.place.column); });
    out.problems = std::move(document_.problems);
    return out;
  }

 private:
  class Checker;

  void check_settings() {
    std::vector<std::string> names;
    for (const auto& [name, variable] : document_.variables) {
      names.push_back(name);
      if (variable.value.empty() && !set_.contains(name))
        document_.problem(variable.place, "variable \"" + name + "\" is not set", "--set " + name + "=…");
    }
    for (const auto& [name, value] : set_) {
      if (document_.variables.contains(name)) continue;
      const auto near = nearest(name, names);
      document_.problem({}, "there is no variable \"" + name + "\" to set",
                        near ? "did you mean \"" + *near + "\"?" : "declare it: [vars] " + name + " = \"\"");
    }
  }

  void step(std::size_t index, Pipeline& pipeline) {
    const RawStage& raw = document_.stages[index];
    Step step{.number = index + 1, .use = raw.use.value_or(""), .params = {}, .place = raw.place};
    if (!raw.use) {
      document_.problem(raw.place, "stage " + std::to_string(step.number) + " does not say which it is",
                        "add use = \"NAME\"");
      return;
    }
    label_ = "stage " + std::to_string(step.number) + " \"" + step.use + "\": ";
    try {
      step.stage = &registry_.stage(step.use);
    } catch (const Error& error) {
      std::string what = error.what();
      for (const std::string& line : error.evidence()) what += ": " + line;
      document_.problem(raw.use_place, label_ + what, error.hint());
      return;
    }
    check_role(step, raw);
    if (bind(step, raw)) check(step, raw);
    pipeline.steps.push_back(std::move(step));
  }

  void check_role(const Step& step, const RawStage& raw) {
    const bool source = step.stage->role() == Role::source;
    if (step.number == 1 && !source) {
      document_.problem(raw.use_place, label_ + "the first stage must make a disk",
                        "put a source before it: " + sources());
    } else if (step.number > 1 && source) {
      document_.problem(raw.use_place, label_ + "a source can only be the first stage",
                        "a pipeline makes one disk; write a second pipeline for another");
    }
  }

  std::string sources() const {
    std::string out;
    for (const Plugin& plugin : registry_.all())
      if (plugin.stage != nullptr && plugin.stage->role() == Role::source)
        out += (out.empty() ? "" : ", ") + plugin.name;
    return out.empty() ? "none is installed" : out;
  }

  /// Substitutes, types and resolves. True when the parameters are good enough to be checked further.
  bool bind(Step& step, const RawStage& raw) {
    const std::size_t before = document_.problems.size();
    from_command_line_.clear();
    Table values;
    std::set<std::string> unset;  // parameters of which only that can be said
    for (const auto& [name, value] : raw.params) {
      unset_variable_ = false;
      Value substituted = substitute(value, name, raw);
      if (unset_variable_)
        unset.insert(name);
      else
        values.emplace(name, std::move(substituted));
    }
    Problems problems;
    step.params = typed(values, step.stage->about().params, problems);
    for (const Problem& problem : problems)
      if (!unset.contains(problem.param) &&
          !(problem.at_name && raw.places.contains(problem.param) && !values.contains(problem.param) &&
            problem.param.find_first_of(".[") == std::string::npos))  // its value was refused when the file was read
        report(raw, problem.param, problem.what, problem.hint, problem.at_name);
    resolve(step.params, step.stage->about().params, "", raw);
    return document_.problems.size() == before && problems.empty() && unset.empty();
  }

  Value substitute(const Value& value, const std::string& path, const RawStage& raw) {
    if (const auto* text = std::get_if<std::string>(&value.v)) return Value{expand(*text, path, raw)};
    if (const auto* list = std::get_if<List>(&value.v)) {
      List out;
      for (std::size_t i = 0; i < list->size(); ++i)
        out.push_back(substitute((*list)[i], path + '[' + std::to_string(i) + ']', raw));
      return Value{std::move(out)};
    }
    if (const auto* table = std::get_if<Table>(&value.v)) {
      Table out;
      for (const auto& [name, item] : *table) out.emplace(name, substitute(item, path + '.' + name, raw));
      return Value{std::move(out)};
    }
    return value;
  }

  /// "${name}" becomes the variable's value; "$${" stands for a "${" of the text's own.
  std::string expand(const std::string& text, const std::string& path, const RawStage& raw) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      const auto dollar = text.find("${", at);
      out += text.substr(at, dollar - at);
      if (dollar == std::string::npos) break;
      if (dollar > at && text[dollar - 1] == '$') {
        out += '{';
        at = dollar + 2;
        continue;
      }
      const auto end = text.find('}', dollar);
      if (end == std::string::npos) {
        report(raw, path, "\"${\" without \"}\"", "write $${ for a ${ of the text's own", false);
        return out;
      }
      const std::string name = text.substr(dollar + 2, end - dollar - 2);
      out += variable(name, path, raw);
      if (dollar == 0 && end + 1 == text.size() && set_.contains(name)) from_command_line_.insert(path);
      at = end + 1;
    }
    return out;
  }

  std::string variable(const std::string& name, const std::string& path, const RawStage& raw) {
    const auto declared = document_.variables.find(name);
    if (declared == document_.variables.end()) {
      std::vector<std::string> names;
      for (const auto& [known, ignored] : document_.variables) names.push_back(known);
      const auto near = nearest(name, names);
      report(
          raw, path, "there is no variable \"" + name + '"',
          near ? "did you mean \"" + *near + "\"?" : "declare it under [vars], or write $${ for a ${ of the text's own",
          false);
      unset_variable_ = true;
      return "";
    }
    if (const auto given = set_.find(name); given != set_.end()) return given->second;
    unset_variable_ = unset_variable_ || declared->second.value.empty();  // that it is not set was reported
    return declared->second.value;
  }

  void resolve(Table& values, const std::vector<Param>& params, const std::string& prefix, const RawStage& raw) {
    for (const Param& param : params) {
      const auto it = values.find(param.name);
      if (it == values.end()) continue;
      const std::string path = prefix + param.name;
      if (!param.type.list) {
        resolve_one(it->second, param, path, raw);
      } else {
        List& list = std::get<List>(it->second.v);
        for (std::size_t i = 0; i < list.size(); ++i)
          resolve_one(list[i], param, path + '[' + std::to_string(i) + ']', raw);
      }
    }
  }

  void resolve_one(Value& value, const Param& param, const std::string& path, const RawStage& raw) {
    const fs::path& base = from_command_line_.contains(path) ? cwd_ : folder_;
    if (auto* plain = std::get_if<fs::path>(&value.v); plain != nullptr && !is_no_file(plain->string()))
      *plain = (base / *plain).lexically_normal();
    if (auto* input = std::get_if<InputPath>(&value.v)) {
      input->path = (base / input->path).lexically_normal();
      std::error_code error;
      if (!fs::exists(input->path, error))
        report(raw, path, '"' + path + "\": there is no file " + input->path.string(), "", false);
    }
    if (param.type.kind == Kind::record) resolve(std::get<Table>(value.v), param.type.fields, path + '.', raw);
  }

  void check(const Step& step, const RawStage& raw);

  /// At the parameter's place, or at that of the nearest one around it.
  void report(const RawStage& raw, std::string param, const std::string& what, std::string hint, bool at_name) {
    Place place = raw.place;
    while (!param.empty()) {
      if (const auto it = raw.places.find(param); it != raw.places.end()) {
        place = at_name ? it->second.name : it->second.value;
        break;
      }
      const auto cut = param.find_last_of(".[");
      param.resize(cut == std::string::npos ? 0 : cut);
      at_name = true;
    }
    document_.problem(place, label_ + what, std::move(hint));
  }

  Document& document_;
  const Registry& registry_;
  const Settings& set_;
  fs::path folder_, cwd_;
  std::string label_;                        // of the stage at hand
  std::set<std::string> from_command_line_;  // its values that were given there
  bool unset_variable_ = false;              // the value at hand names a variable that has none
};

/// What a stage's check() talks to.
class Loader::Checker final : public Check {
 public:
  Checker(Loader& loader, const RawStage& raw) : loader_(loader), raw_(raw) {}
  void problem(std::string param, std::string what, std::string hint) override {
    loader_.report(raw_, std::move(param), what, std::move(hint), false);
  }
  const Formats& formats() const override { return loader_.registry_; }
  void validate(const std::string& param, const Table& options, const std::vector<Param>& against) override {
    Problems problems;
    typed(options, against, problems);
    for (const Problem& p : problems) loader_.report(raw_, param + '.' + p.param, p.what, p.hint, p.at_name);
  }

 private:
  Loader& loader_;
  const RawStage& raw_;
};

void Loader::check(const Step& step, const RawStage& raw) {
  Checker checker(*this, raw);
  try {
    step.stage->check_with(step.params, checker);
  } catch (const Error& error) {
    report(raw, "", error.what(), error.hint(), false);
  } catch (const std::exception& error) {
    report(raw, "", "plugin \"" + step.use + "\" broke: " + error.what(), "this is a bug in the plugin", false);
  }
}

}  // namespace

Loaded load_pipeline(const fs::path& file, const Registry& registry, const Settings& set, const fs::path& cwd) {
  Document document = read_document(file, cwd);
  const fs::path folder = (cwd / file).parent_path();
  if (document.lines.empty() && !document.problems.empty())  // it could not be read at all
    return {.pipeline = {.name = document.name, .file = file, .steps = {}}, .problems = std::move(document.problems)};
  return Loader(document, registry, set, folder, cwd).load(file);
}

Loaded make_pipeline(const std::string& name, const std::vector<StageCall>& calls, const Registry& registry,
                     const fs::path& cwd) {
  Document document{.file = "", .name = name};
  for (const StageCall& call : calls)
    document.stages.push_back({.place = {}, .use = call.use, .params = call.params, .places = {}});
  return Loader(document, registry, {}, cwd, cwd).load({});
}

}  // namespace kiln::engine
