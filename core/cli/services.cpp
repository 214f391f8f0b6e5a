#include "cli/services.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "catalog/database.h"
#include "catalog/names.h"
#include "cli/admission.h"

namespace kiln::cli {
namespace {

/// On a server the account is who logs in, so that nobody can claim to be somebody else.
std::string login_in(const std::string& address, const std::filesystem::path& file) {
  const std::size_t begin = address.find("://") + 3, at = address.find('@', begin);
  const std::string login = at == std::string::npos ? "" : address.substr(begin, at - begin);
  const std::string user = login.substr(0, login.find(':'));
  if (user.empty() || user.find_first_of("/?%") != std::string::npos || address.find("user=") != std::string::npos)
    throw invalid(file.string() + ": the address of the catalog does not say as whom to log in",
                  "write catalog = \"postgresql://NAME@host/database\"");
  return user;
}

/// As whom this kiln was called, as far as the configuration and the command line say it: no server is asked.
InstanceUser caller_of(const engine::Config& config, const std::optional<std::string>& as,
                       const std::filesystem::path& file) {
  const bool server = is_server(config.catalog);
  if (!config.catalog.empty() && !server)
    throw invalid(file.string() + ": \"catalog\" takes the address of a PostgreSQL database",
                  "write catalog = \"postgresql://NAME@host/database\", or leave it out for a folder of your own");
  if (server && as)
    throw refused("--as is for a catalog in a folder: on a server the account follows from the login",
                  "log in as somebody else: catalog = \"postgresql://NAME@host/database\" in " + file.string());
  if (server && !config.account.empty())
    throw invalid(file.string() + ": \"account\" is for a catalog in a folder: on a server it follows from the login",
                  "leave it out");
  const std::string name = server                   ? login_in(config.catalog, file)
                           : as                     ? *as
                           : config.account.empty() ? "local"
                                                    : config.account;
  require_name("account name", name);
  return {.account = name, .of_server = server, .keeps_home = !as};
}

/// Whoever can open the files of a catalog can do everything with it anyway: its own account is an operator's. So is
/// whoever owns the database of a server, and can change every record of it.
Account account_of(const InstanceUser& caller, const std::string& address) {
  if (!caller.of_server) return {caller.account, caller.keeps_home};
  const Login known = login_of(address);
  require_name("account name", known.user);
  return {known.user, known.is_owner};
}

/// What a sink does with the disk. Of one that is not of kiln's own nobody knows where it sends it.
Action action_of(const std::string& sink) {
  if (sink == "boot" || sink == "launch") return Action::launch;
  if (sink == "checksum") return Action::verify;
  return sink == "publish" ? Action::copy : Action::write_out;
}

std::shared_ptr<const SigningKey> signing_key(const Home& home, const std::string& name) {
  try {
    return std::make_shared<const SigningKey>(KeyRing(home.keys()).signing_key(name));
  } catch (const Error& error) {
    throw Error(home.config().string() + ": \"signing_key\": " + error.what(), error.hint(), error.evidence(),
                error.failure());
  }
}

}  // namespace

struct Services::State {
  std::vector<std::filesystem::path> plugin_dirs;
  std::filesystem::path program;
  std::string wanted_accelerator;
  bool sandboxed = true;
  std::optional<std::string> as;
  std::stop_token stop;
  std::optional<Accelerator> accelerator;
  std::optional<engine::Config> config;
  std::unique_ptr<engine::Registry> registry;
  std::unique_ptr<LocalCatalog> catalog;
  std::unique_ptr<LibvirtDriver> libvirt;  // the machines borrow it
  std::unique_ptr<HostMachines> machines;
  std::unique_ptr<engine::Services> engine;
};

Services::Services(const Args& args, std::filesystem::path program, std::stop_token stop)
    : home_(Home::of_environment()), state_(std::make_unique<State>()) {
  for (const std::string& dir : args.all("plugin-dir")) state_->plugin_dirs.push_back(std::filesystem::absolute(dir));
  state_->program = std::move(program);
  state_->wanted_accelerator = args.text("accel");
  state_->sandboxed = !args.has("no-sandbox");
  if (args.has("as")) state_->as = args.text("as");
  state_->stop = std::move(stop);
}

Services::~Services() = default;

const std::filesystem::path& Services::program() const {
  return state_->program;
}

bool Services::sandboxed() const {
  return state_->sandboxed;
}

const engine::Registry& Services::registry() {
  if (!state_->registry)
    state_->registry = std::make_unique<engine::Registry>(engine::plugin_folders(state_->plugin_dirs, state_->program),
                                                          state_->sandboxed, state_->stop);
  return *state_->registry;
}

const engine::Config& Services::config() {
  if (!state_->config) state_->config = engine::read_config(home_.config());
  return *state_->config;
}

std::filesystem::path Services::catalog_folder() {
  return config().catalog_folder.empty() ? home_.catalog() : std::filesystem::path(config().catalog_folder);
}

LocalCatalog& Services::catalog() {
  if (!state_->catalog) {
    const Account account = account_of(caller_of(config(), state_->as, home_.config()), config().catalog);
    home_.create();
    CatalogChoices choices{
        .admit = [this](const CatalogView& view, const ImageEntry& entry) { return admit(home_, view, entry); }};
    if (const std::string& name = config().signing_key; !name.empty())
      choices.signing_key = [this, name] { return signing_key(home_, name); };
    state_->catalog = std::make_unique<LocalCatalog>(catalog_folder(), account, config().catalog, std::move(choices));
  }
  return *state_->catalog;
}

LibvirtDriver& Services::libvirt() {
  if (!state_->libvirt) state_->libvirt = std::make_unique<LibvirtDriver>([this] { return home_.place(); });
  return *state_->libvirt;
}

Instances Services::instances() {
  return Instances(home_.root(), caller_of(config(), state_->as, home_.config()), &libvirt());
}

HostMachines& Services::machines() {
  if (!state_->machines)
    state_->machines = std::make_unique<HostMachines>(
        home_, catalog(), instances(), libvirt(), registry(), [this] { return accelerator(); }, state_->stop,
        state_->sandboxed);
  return *state_->machines;
}

const engine::Services& Services::engine() {
  if (!state_->engine) {
    // The probe waits until an appliance is really started.
    const auto start = [this](const engine::ApplianceStart& what) {
      return engine::guestfs_appliance(accelerator().name != "kvm", sandboxed())(what);
    };
    const auto allow = [this](const engine::HandOver& to) {
      catalog().require_hand_over(to.image, to.content, action_of(to.stage));
    };
    state_->engine = std::make_unique<engine::Services>(engine::Services{.registry = registry(),
                                                                         .catalog = catalog(),
                                                                         .machines = machines(),
                                                                         .start_appliance = start,
                                                                         .home = home_.root(),
                                                                         .layer_format = registry().get("qcow2"),
                                                                         .sandboxed = sandboxed(),
                                                                         .account = catalog().view().account().name,
                                                                         .allow = allow});
  }
  return *state_->engine;
}

const Accelerator& Services::accelerator() {
  if (!state_->accelerator) {
    home_.create();
    state_->accelerator = choose_accelerator(state_->wanted_accelerator, home_.root(), state_->stop);
  }
  return *state_->accelerator;
}

std::filesystem::path Services::pipeline_file(const std::string& given) const {
  std::error_code ignored;
  const bool is_name = given.find('/') == std::string::npos && !given.ends_with(".toml") && !given.empty();
  if (!is_name || std::filesystem::exists(given, ignored)) return given;
  // <prefix>/bin/kiln and <prefix>/share/kiln/pipelines
  const std::filesystem::path folder = state_->program.parent_path().parent_path() / "share/kiln/pipelines";
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
    if (entry.path().extension() == ".toml") names.push_back(entry.path().stem());
  if (std::find(names.begin(), names.end(), given) != names.end()) return folder / (given + ".toml");
  std::sort(names.begin(), names.end());
  std::string known;
  for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
  const auto near = nearest(given, names);
  throw invalid(fmt::format("there is no pipeline \"{}\"", given),
                near ? fmt::format("did you mean \"{}\"?", *near)
                     : fmt::format("give a file, or one of the ready-made pipelines: {}", known));
}

}  // namespace kiln::cli
