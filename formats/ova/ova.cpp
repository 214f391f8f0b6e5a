// Appliances for VMware's products, VirtualBox and whoever else takes OVF packages. `import` reads them: a package may
// hold several disks, and what a format opens is one.

#include <kiln/plugin.h>

#include "machine.h"
#include "writer.h"

namespace kiln::ova {
namespace {

class Ova final : public FormatOf<Options> {
 public:
  Ova()
      : FormatOf({.name = "ova",
                  .summary = "A machine for VMware and VirtualBox: OVF, manifest and disks in one file (write only).",
                  .extensions = {"ova"}},
                 {{"name", &Options::name, "Of the machine. Default: what the image was called, else \"machine\"."},
                  {"cpus", &Options::cpus, "Its processors; 0: as the image says, else 2."},
                  {"memory", &Options::memory, "Its memory; 0: as the image says, else 2 GiB."},
                  {"firmware",
                   &Options::firmware,
                   {"image", "bios", "uefi", "secure"},
                   "\"image\": as the image says, else \"bios\". \"secure\" is UEFI with Secure Boot."},
                  {"controller",
                   &Options::controller,
                   {"sata", "scsi"},
                   "Of the disks: AHCI, for which every system has a driver, or LSI Logic."},
                  {"nic", &Options::nic, {"e1000", "e1000e", "vmxnet3"}, "The network card."},
                  {"os", &Options::os, "The system's name, such as \"Debian 12\". Default: as the image says."},
                  {"level", &Options::level, "Compression: 1 to 12, 0 for the default."}}) {}

  bool is_package() const override { return true; }

  Match probe(const Glimpse&) const override { return Match::no; }

  Inspection inspect(const File& file) const override { throw read_by_import(file); }

  std::shared_ptr<const BlockReader> open(File file, std::shared_ptr<const BlockReader>) const override {
    throw read_by_import(file);
  }

 protected:
  std::unique_ptr<BlockSink> create(const std::filesystem::path& file, std::uint64_t size,
                                    const Options& options) const override {
    return std::make_unique<SingleDisk>(pack(file, {size}, {}, options));
  }

  std::unique_ptr<Package> pack(const std::filesystem::path& file, const std::vector<std::uint64_t>& sizes,
                                const Facts& known, const Options& options) const override {
    if (options.level < 0 || options.level > vmdk::highest_level)
      throw invalid("an OVA has no level " + std::to_string(options.level), "take 1 to 12, or 0 for the default");
    const int level = options.level != 0 ? static_cast<int>(options.level) : vmdk::usual_level;
    return std::make_unique<Writer>(file, sizes, machine_of(options, known), level);
  }

 private:
  static Error read_by_import(const File& file) {
    return invalid(file.path().string() + " is to be read as an OVA, which is a package and no disk",
                   "import it without a format: its content is recognised");
  }
};

}  // namespace
}  // namespace kiln::ova

KILN_FORMAT(kiln::ova::Ova)
