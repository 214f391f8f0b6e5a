// kiln restore: puts a backup back in place of a damaged disk, or makes another instance of it.
#include <functional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "catalog/image_parts.h"
#include "cli/activity.h"
#include "cli/backups.h"
#include "cli/errors.h"
#include "cli/output.h"
#include "cli/services.h"
#include "disk/difference.h"
#include "machine/rewrite.h"
#include "process/file_lock.h"

namespace kiln::cli {
namespace {

int restore_as(Call& call, const ImageEntry& backup) {
  LaunchSpec spec;
  spec.image = backup.image.id;
  spec.name = call.args.text("new");
  Activity activity("restoring", call.out.json());
  const Launches launches = call.services.machines().launch(spec, {activity.bytes(), {}});
  activity.end();
  const Launched& made = launches.instances.front();
  for (const std::string& warning : launches.warnings) print_warning(warning);
  if (call.out.json())
    call.out.object({{"name", made.name}, {"pid", made.pid}, {"restored", backup.reference()}});
  else
    call.out.line(fmt::format("{}  pid {}, from {}; see it start with: kiln console {}", made.name, made.pid,
                              backup.reference(), made.name));
  return 0;
}

/// The system disk, then the data disks.
std::vector<Image> disks_of(const Image& image) {
  std::vector<Image> disks{image};
  for (const ImagePart& part : image.parts)
    if (part.role == part_role::data) disks.push_back(disk_of(image, part));
  return disks;
}

void require_fits(const Instance& instance, const ImageEntry& backup) {
  const auto does_not = [&](const std::string& why) {
    return Error(why, fmt::format("make a new instance of it: kiln restore {} --to {} --as NEW", instance.name,
                                  backup.reference()));
  };
  const std::vector<Image> disks = disks_of(backup.image);
  if (disks.size() != instance.data.size() + 1)
    throw does_not(fmt::format("{} is of a machine with {} disks, and instance \"{}\" has {}", backup.reference(),
                               disks.size(), instance.name, instance.data.size() + 1));
  for (std::size_t i = 0; i < disks.size(); ++i) {
    const std::uint64_t there = i == 0 ? instance.disk_size : instance.data[i - 1].size;
    if (there != 0 && disks[i].virtual_size > there)
      throw does_not(fmt::format(
          "{} has {}, and {} of instance \"{}\" only {}", backup.reference(), format_bytes(disks[i].virtual_size),
          i == 0 ? std::string("the disk") : fmt::format("data disk {}", i), instance.name, format_bytes(there)));
  }
}

/// What differs, of every disk, and the firmware's variables. Returns the bytes that were written to the disks.
std::uint64_t rewrite(Call& call, const Instance& instance, const Image& damaged, const Image& backup,
                      const std::function<void(std::uint64_t, std::uint64_t)>& told) {
  LocalCatalog& catalog = call.services.catalog();
  const std::vector<Image> there = disks_of(damaged), wanted = disks_of(backup);
  std::vector<std::vector<ChunkRun>> runs;
  std::uint64_t total = 0, written = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    runs.push_back(difference(catalog.manifest(there.at(i)), catalog.manifest(wanted[i])));
    for (const ChunkRun& run : runs.back()) total += run.count * chunk_size;
  }
  for (const ImagePart& part : backup.parts)
    if (part.role == part_role::firmware) rewrite_vars(instance, *catalog.read(disk_of(backup, part)));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (runs[i].empty()) continue;
    rewrite_disk(instance, i, *catalog.read(wanted[i]), runs[i], call.stop,
                 [&](std::uint64_t done, std::uint64_t) { told(written + done, total); });
    for (const ChunkRun& run : runs[i]) written += run.count * chunk_size;
  }
  return written;
}

void end_running(Call& call, const Instance& instance) {
  if (instance.state != Instance::State::running) return;
  if (!call.args.has("force"))
    throw Error(fmt::format("instance \"{}\" is running", instance.name),
                fmt::format("kiln stop {}, or say --force, which ends it at once", instance.name));
  call.services.instances().stop(instance.name, Duration(0), call.stop);
}

std::uint64_t size_of(const Image& backup) {
  std::uint64_t size = 0;
  for (const Image& disk : disks_of(backup)) size += disk.virtual_size;
  return size;
}

/// What was there before, as an image: the difference to it is what is written.
std::optional<ImageEntry> keep_damaged(Call& call, const Instance& instance, const std::string& backup) {
  const Instances instances = call.services.instances();
  instances.mark_restoring(instance.name, backup);
  call.services.machines().capture_half_restored(instance.name);
  try {
    return capture_as(call, "restore", instance.name, instance.name + "-damaged");
  } catch (...) {
    // Nothing was written yet, unless an earlier one was cut off.
    instances.mark_restoring(instance.name, instance.restoring);
    throw;
  }
}

void answer(Call& call, const Instance& instance, const ImageEntry& backup, const ImageEntry& damaged,
            std::uint64_t written) {
  const bool kept = !call.args.has("discard");
  if (call.out.json())
    return call.out.object({{"name", instance.name},
                            {"restored", backup.reference()},
                            {"written_bytes", written},
                            {"damaged", kept ? Json(damaged.reference()) : Json(nullptr)}});
  call.out.line(fmt::format("{} is as in {}: {} of {} written", instance.name, backup.reference(),
                            format_bytes(written), format_bytes(size_of(backup.image))));
  if (kept) call.out.line(fmt::format("what was there before is image {}", damaged.reference()));
  call.out.line(fmt::format("start it with: kiln start {}", instance.name));
}

}  // namespace

int run_restore(Call& call) {
  const std::string name = call.args.text("INSTANCE");
  const bool is_new = call.args.has("new");
  if (is_new && (call.args.has("force") || call.args.has("discard")))
    throw invalid("--as makes a new instance, and leaves the old one as it is", "leave out --force and --discard");
  const ImageEntry backup = find_backup(call, name);
  if (is_new) return restore_as(call, backup);

  const Instances instances = call.services.instances();
  require_here(instances.get(name), "rewrite the disk of");
  const auto turn = FileLock::try_exclusive(instances.get(name).folder / "restore.lock");
  if (!turn) throw Error(fmt::format("another kiln restores \"{}\" right now", name), "try again when it has ended");
  const Instance instance = instances.get(name);
  require_fits(instance, backup);
  // What is in its disk runs at its next start, as if it were launched.
  for (const std::string& warning : call.services.catalog().admit(backup)) print_warning(warning);
  end_running(call, instance);
  const std::string to = backup.reference_for(call.services.catalog().view().account().name);
  const auto damaged = keep_damaged(call, instance, to);
  if (!damaged) {
    instances.mark_restoring(name, instance.restoring);
    return static_cast<int>(Failure::invalid);
  }
  Activity activity("restoring", call.out.json());
  const std::uint64_t written = rewrite(call, instance, damaged->image, backup.image, activity.bytes());
  instances.mark_restoring(name, "");
  activity.end();
  if (call.args.has("discard")) call.services.machines().remove_image(damaged->image.id);
  answer(call, instance, backup, *damaged, written);
  return 0;
}

}  // namespace kiln::cli
