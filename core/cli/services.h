#pragma once
// The composition root: the only place that knows which plugins, catalog, machines and appliances a run really gets.
// Everything is opened when it is first asked for: `kiln plugin list` opens no catalog, and a cached build probes no
// accelerator.

#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>

#include "catalog/local_catalog.h"
#include "cli/args.h"
#include "cli/home.h"
#include "cli/host_machines.h"
#include "engine/config.h"
#include "engine/registry.h"
#include "engine/runner.h"
#include "machine/accelerator.h"

namespace kiln::cli {

/// Owned by main; one thread. What it returns lives as long as it does.
class Services {
 public:
  /// `program`: kiln's own file, beside which the installed plugins and pipelines lie.
  Services(const Args&, std::filesystem::path program, std::stop_token);
  Services(const Services&) = delete;
  Services& operator=(const Services&) = delete;
  ~Services();

  const Home& home() const { return home_; }
  const std::filesystem::path& program() const;
  bool sandboxed() const;  ///< false: --no-sandbox
  /// config.toml of the home. Throws invalid() for what is wrong there.
  const engine::Config& config();
  const engine::Registry& registry();
  /// As the account of config.toml, or that of --as. Throws invalid() for what is wrong there.
  LocalCatalog& catalog();
  /// Where its bytes are.
  std::filesystem::path catalog_folder();
  /// Boots and launches, with this kiln's catalog behind it.
  HostMachines& machines();
  /// As the same account; the catalog is not opened for it. Throws invalid() for what is wrong in config.toml.
  Instances instances();
  /// Everything a run needs.
  const engine::Services& engine();

  /// --accel, or what the probe found: takes up to 3 s the first time after the host has started. Throws invalid() for
  /// an --accel that is none.
  const Accelerator& accelerator();

  /// A pipeline's file: `given` itself, or the ready-made pipeline of that name. Throws invalid() with the nearest
  /// name.
  std::filesystem::path pipeline_file(const std::string& given) const;

 private:
  LibvirtDriver& libvirt();
  struct State;
  Home home_;
  std::unique_ptr<State> state_;
};

}  // namespace kiln::cli
