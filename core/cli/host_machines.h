#pragma once
// kiln::Machines of this host: what the boot and launch stages, and the verb launch, start machines with.

#include <filesystem>
#include <functional>
#include <stop_token>

#include <kiln/machine.h>

#include "catalog/local_catalog.h"
#include "cli/home.h"
#include "disk/manifest.h"
#include "libvirt/libvirt_driver.h"
#include "machine/accelerator.h"
#include "machine/capture.h"
#include "machine/instances.h"

namespace kiln::cli {

/// Images as files that overlays stand on: $KILN_HOME/bases/<content digest>.qcow2, read-only, made once for all images
/// of that content.
class Bases {
 public:
  Bases(const Home& home, const LocalCatalog& catalog, const Format& format)
      : home_(home), catalog_(catalog), format_(format) {}

  using Told = std::function<void(std::uint64_t done, std::uint64_t total)>;
  /// The image's base. Made at disk speed when it is not there; a sealed layer that holds exactly the content, alone in
  /// its file, is taken instead of a copy (a hard link, so that clearing the cache does no harm).
  std::filesystem::path prepare(const Image&, std::stop_token, const Told& progress = {}) const;
  bool has(const Image& image) const { return std::filesystem::exists(file_of(image.content)); }
  std::filesystem::path file_of(const Digest& content) const;
  /// Removes the base of a content, when there is one. Returns its bytes.
  std::uint64_t forget(const Digest& content) const;

 private:
  bool link_layer(const Image&, const std::filesystem::path& target) const;

  const Home& home_;
  const LocalCatalog& catalog_;
  const Format& format_;
};

/// Who is told how far a launch is: first of the image's base, then of the instances.
struct LaunchProgress {
  Bases::Told base = {};
  std::function<void(std::size_t done, std::size_t total)> instances = {}, disks = {};
};

/// Borrows all it is made of. One thread.
class HostMachines final : public Machines {
 public:
  HostMachines(const Home& home, LocalCatalog& catalog, Instances instances, LibvirtDriver& libvirt,
               const Formats& formats, std::function<Accelerator()> accelerator, std::stop_token stop, bool sandboxed)
      : home_(home),
        catalog_(catalog),
        formats_(formats),
        format_(formats.get("qcow2")),
        bases_(home, catalog, format_),
        instances_(std::move(instances)),
        libvirt_(libvirt),
        accelerator_(std::move(accelerator)),
        stop_(std::move(stop)),
        sandboxed_(sandboxed) {}

  BootReport boot(const BootSpec&) override;
  Launches launch(const LaunchSpec& spec) override { return launch(spec, {}); }
  Launches launch(const LaunchSpec&, const LaunchProgress&);
  Capture capture(const CaptureSpec&) override;

  /// The next captures take this instance although a restore of it is under way.
  void capture_half_restored(std::string name) { half_restored_ = std::move(name); }

  /// Makes `link` another name of the image's base, for who only looks into it. A base that nobody had needed before
  /// stays no longer than that name.
  void lend_base(const Image&, const std::filesystem::path& link, const Bases::Told& progress = {});

  /// Tells the catalog which images this home's instances run from. While a launch or a removal of an image is under
  /// way it waits for seconds at most: the next one tells it.
  void record_uses();

  /// Removes an image that no instance uses, and its base. Throws refused() that names the instances otherwise.
  Removal remove_image(const std::string& reference);
  /// The same, into the trash until `purge_at`.
  ImageEntry trash_image(const std::string& reference, const Moment& purge_at);
  /// The instances of all accounts that run from an image: by name when this one may use them, which come first, else
  /// as "an instance of bob", or of another account when it must not know of whom. Then those of other homes.
  std::vector<std::string> users_of(const ImageEntry&) const;

 private:
  std::vector<Launched> start(const ImageEntry&, const LaunchSpec&, const LaunchProgress&);
  /// They go on from the image's memory.
  std::vector<Launched> resume(const ImageEntry&, const LaunchSpec&, const LaunchProgress&);
  void set_clocks(const std::vector<Launched>&) const;
  /// As domains of libvirt; the image's base is made on their host.
  std::vector<Launched> start_domains(const ImageEntry&, LaunchSpec, const LaunchProgress&);
  /// Writes into each instance's disk who it is, in one appliance for all.
  void personalise(const std::vector<Instance>&, const LaunchSpec&, const LaunchProgress&);
  Accelerator accelerator_for(const LaunchSpec&) const;
  Capture capture_instance(const CaptureSpec&);
  Capture capture_qemu(const CaptureSpec&);
  /// `domain`: the instance's, or the one that the spec names.
  Capture capture_domain(const CaptureSpec&, const Instance* instance, std::vector<KnownBase> bases);
  /// Its disks as files, all of them, and its firmware's variables when the machine has that firmware.
  LaunchBase prepare_disks(const ImageEntry&, const LaunchSpec&, const LaunchProgress&) const;
  /// As long as the catalog has it.
  std::optional<Image> image_of(const Instance&) const;
  /// What is in the files that an instance's disks may lie on.
  std::vector<KnownBase> bases_of(const Image&) const;
  /// Nothing: all of the disk has to be read.
  std::optional<Manifest> try_manifest(const Image&) const;
  /// What a captured drive held, when it became an image of this account as it was.
  std::optional<Manifest> captured_before(const std::string& bitmap, const std::string& drive) const;
  /// Hold the lock of the bases: it is what keeps launches from being overlooked.
  void record_instances();
  void try_to_record_instances() noexcept;
  /// As users_of(), and the records say the same: who asks twice, because they say that it is in use, hears by whom.
  std::vector<std::string> recorded_users_of(const ImageEntry&);
  /// Removes the bases of an image's contents that nobody needs at the moment, whoever may own what has them. Returns
  /// their bytes.
  std::uint64_t forget_bases(const Image&) const;

  const Home& home_;
  LocalCatalog& catalog_;
  const Formats& formats_;
  const Format& format_;  ///< of instances' disks
  Bases bases_;
  Instances instances_;
  LibvirtDriver& libvirt_;
  std::function<Accelerator()> accelerator_;  ///< asked when a machine is started, not before
  std::stop_token stop_;
  bool sandboxed_;
  std::string half_restored_ = {};
};

}  // namespace kiln::cli
