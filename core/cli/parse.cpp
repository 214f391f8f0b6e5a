#include "cli/parse.h"

#include <algorithm>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "cli/version.h"

namespace kiln::cli {
namespace {

/// "--set" → "set", "-o,--option" → "option", "FILE" → "FILE": the key of Args.
std::string key_of(std::string_view name) {
  const auto comma = name.rfind(',');
  if (comma != std::string_view::npos) name.remove_prefix(comma + 1);
  while (name.starts_with('-')) name.remove_prefix(1);
  return std::string(name);
}

std::string usage(const Verb& verb) {
  std::string line = fmt::format("kiln {}", verb.name);
  for (const Arg& arg : verb.args) {
    if (arg.given == Given::positional) line += fmt::format(" {}", arg.name);
    if (arg.given == Given::optional) line += fmt::format(" [{}]", arg.name);
    if (arg.given == Given::rest) line += fmt::format(" -- {}...", arg.name);
  }
  return line;
}

/// One verb inside CLI11, with the places that its parser writes to.
struct Bound {
  const Verb* verb;
  CLI::App* app;
  std::map<std::string, std::vector<std::string>> values;
  std::map<std::string, bool> flags;
  std::vector<std::string> options;  ///< every spelling, for "did you mean"
};

void bind(Bound& bound, CLI::App& app, const Arg& arg) {
  const std::string key = key_of(arg.name);
  const std::string name(arg.name), help(arg.help);
  if (name.starts_with('-')) bound.options.push_back("--" + key);
  if (arg.given == Given::rest) {
    app.footer(fmt::format("After \"--\":\n  {}... {}", name, help));
    return;
  }
  if (arg.given == Given::flag) {
    app.add_flag(name, bound.flags[key], help);
    return;
  }
  // CLI11 wants positionals in lower-case letters or as they are shown; what is missing is reported by us.
  CLI::Option* option = app.add_option(name, bound.values[key], help);
  option->expected(1)->allow_extra_args(false);
  option->multi_option_policy(arg.given == Given::values ? CLI::MultiOptionPolicy::TakeAll
                                                         : CLI::MultiOptionPolicy::TakeLast);
  option->type_name(std::string(arg.value.empty() ? "" : arg.value));
}

void refuse_leftovers(const Bound& bound) {
  for (const std::string& word : bound.app->remaining()) {
    if (word == "--") continue;  // CLI11 counts the mark itself as left over
    if (word.size() > 1 && word.front() == '-') {
      const std::string name = word.substr(0, word.find('='));
      const auto near = nearest(name, bound.options);
      if (near == name)
        throw invalid(fmt::format("kiln {}: \"{}\" stands after \"--\", where no options are", bound.verb->name, name),
                      "put the options before it");
      throw invalid(
          fmt::format("kiln {}: unknown option \"{}\"", bound.verb->name, name),
          near ? fmt::format("did you mean \"{}\"?", *near) : fmt::format("see kiln {} --help", bound.verb->name));
    }
    throw invalid(fmt::format("kiln {}: one argument too many: \"{}\"", bound.verb->name, word), usage(*bound.verb));
  }
}

Args collect(const Bound& bound) {
  refuse_leftovers(bound);
  Args args;
  for (const auto& [key, values] : bound.values)
    for (const std::string& value : values) args.add(key, value);
  for (const auto& [key, on] : bound.flags)
    if (on) args.add(key, "");
  for (const Arg& arg : bound.verb->args)
    if (arg.given == Given::positional && !args.has(arg.name))
      throw invalid(fmt::format("kiln {}: {} is missing", bound.verb->name, arg.name), usage(*bound.verb));
  return args;
}

class CommandLine {
 public:
  explicit CommandLine(const std::vector<Verb>& verbs)
      : verbs_(verbs), app_("Turns disks of anywhere into custom machine images.", "kiln") {
    app_.require_subcommand(0, 1);
    app_.allow_extras();
    app_.add_flag("--version", version_, "Prints the version");
    add_common(app_, common_);
    for (const Verb& verb : verbs) add(verb);
  }

  Parsed parse(std::vector<std::string> words) {
    rest_ = take_rest(words, verbs_);
    std::reverse(words.begin(), words.end());  // CLI11 takes them from the back
    try {
      app_.parse(words);
    } catch (const CLI::CallForHelp&) {
      return {.args = {}, .text = deepest()->help()};
    } catch (const CLI::ParseError& e) {
      throw invalid(fmt::format("{}", e.what()), "see kiln --help");
    }
    if (version_) return {.args = {}, .text = fmt::format("kiln {}\n", version)};
    for (const auto& bound : bound_)
      if (bound->app == deepest()) return finish(*bound);
    return without_verb();
  }

 private:
  /// What follows "--" for the verbs that pass it on. Their own options stand before it.
  static std::vector<std::string> take_rest(std::vector<std::string>& words, const std::vector<Verb>& verbs) {
    const auto mark = std::find(words.begin(), words.end(), "--");
    auto verb = words.begin();
    while (verb != mark && verb->starts_with('-'))
      verb += (*verb == "--as" || *verb == "--plugin-dir") && verb + 1 != mark ? 2 : 1;
    const auto takes_rest = [&](const Verb& known) {
      return known.name == *verb &&
             std::any_of(known.args.begin(), known.args.end(), [](const Arg& arg) { return arg.given == Given::rest; });
    };
    if (mark == words.end() || verb == mark || std::none_of(verbs.begin(), verbs.end(), takes_rest)) return {};
    std::vector<std::string> rest(mark + 1, words.end());
    words.erase(mark, words.end());
    return rest;
  }

  void add_common(CLI::App& app, Bound& bound) {
    bind(bound, app, {"--json", Given::flag, "", "Answers in JSON on standard output"});
    bind(bound, app, {"--plugin-dir", Given::values, "DIR", "Looks for plugins here first"});
    bind(bound, app, {"--no-sandbox", Given::flag, "", "Lets QEMU see files of strangers without a sandbox"});
    // A verb may mean something else by it; then the account stands before the verb.
    const auto has_as = [](const Arg& arg) { return arg.name.starts_with("--as"); };
    if (bound.verb == nullptr || std::none_of(bound.verb->args.begin(), bound.verb->args.end(), has_as))
      bind(bound, app, {"--as", Given::value, "ACCOUNT", "Uses the catalog as this account"});
  }

  void add(const Verb& verb) {
    const auto space = verb.name.find(' ');
    CLI::App* parent = &app_;
    if (space != std::string_view::npos) {
      const std::string group(verb.name.substr(0, space));
      CLI::App*& known = groups_[group];
      if (known == nullptr) {
        known = app_.add_subcommand(group, std::string(group_help(group)));
        known->require_subcommand(0, 1)->allow_extras();
      }
      parent = known;
    }
    const std::string name(space == std::string_view::npos ? verb.name : verb.name.substr(space + 1));
    CLI::App* app = parent->add_subcommand(name, std::string(verb.help));
    app->allow_extras();
    // A verb may have others below it, as "backup" and "backup verify": it stands before them in the table.
    if (space == std::string_view::npos) groups_[name] = app;
    bound_.push_back(std::make_unique<Bound>(Bound{&verb, app, {}, {}, {}}));
    for (const Arg& arg : verb.args) bind(*bound_.back(), *app, arg);
    add_common(*app, *bound_.back());
  }

  /// The subcommand whose help was asked for.
  CLI::App* deepest() {
    CLI::App* app = &app_;
    while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
    return app;
  }

  Parsed finish(const Bound& bound) {
    Args args = collect(bound);
    for (const Arg& arg : bound.verb->args)
      if (arg.given == Given::rest)
        for (std::string& word : rest_) args.add(std::string(arg.name), std::move(word));
    for (const std::string& dir : common_.values["plugin-dir"]) args.add("plugin-dir", dir);
    for (const std::string& account : common_.values["as"])
      if (!args.has("as")) args.add("as", account);
    for (const char* flag : {"json", "no-sandbox"})
      if (common_.flags[flag]) args.add(flag, "");
    return {.verb = bound.verb, .args = std::move(args)};
  }

  Parsed without_verb() {
    CLI::App* at = deepest();
    std::vector<std::string> words = at->remaining();
    if (words.empty()) return {.args = {}, .text = at->help(), .exit_code = 2};
    std::vector<std::string> known;
    for (const CLI::App* sub : at->get_subcommands([](CLI::App*) { return true; })) known.push_back(sub->get_name());
    const std::string group = at == &app_ ? "" : at->get_name() + " ";
    const auto near = nearest(words.front(), known);
    throw invalid(fmt::format("kiln has no \"{}{}\"", group, words.front()),
                  near ? fmt::format("did you mean \"kiln {}{}\"?", group, *near) : "see kiln " + group + "--help");
  }

  const std::vector<Verb>& verbs_;
  std::vector<std::string> rest_;
  CLI::App app_;
  bool version_ = false;
  Bound common_{};
  std::map<std::string, CLI::App*> groups_;
  std::vector<std::unique_ptr<Bound>> bound_;
};

}  // namespace

Parsed parse_command_line(const std::vector<std::string>& words, const std::vector<Verb>& verbs) {
  return CommandLine(verbs).parse(words);
}

}  // namespace kiln::cli
