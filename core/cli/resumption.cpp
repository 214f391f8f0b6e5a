#include "cli/resumption.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <kiln/file.h>

#include "machine/memory_state.h"

namespace kiln::cli {
namespace {

constexpr char how_else[] = "launch it without --resume to boot it";

std::string fact(const Facts& facts, const char* name) {
  const auto it = facts.find(name);
  return it == facts.end() ? "" : it->second;
}

/// The guest goes on with the machine that it has.
void require_nothing_else(const LaunchSpec& spec) {
  const std::array<std::pair<const char*, bool>, 11> changes{{{"--memory", spec.memory.count != 0},
                                                              {"--cpus", spec.cpus != 0},
                                                              {"--disk-size", spec.disk_size != 0},
                                                              {"--disk-bus", !spec.disk_bus.empty()},
                                                              {"--nic", !spec.nic.empty()},
                                                              {"--firmware", !spec.firmware.empty()},
                                                              {"--ssh-key", !spec.ssh_keys.empty()},
                                                              {"--user-data", !spec.user_data.empty()},
                                                              {"--stopped", spec.stopped},
                                                              {"kiln clone", spec.personalise},
                                                              {"--driver", spec.driver != "qemu"}}};
  for (const auto& [option, given] : changes)
    if (given)
      throw invalid("a machine that is resumed goes on as it was, here, and at once: " + std::string(option) +
                        " and --resume do not go together",
                    "give one of them");
}

void require_same_host(const Facts& facts, const LaunchSpec& spec, const std::string& reference) {
  const std::string accelerator = fact(facts, "memory.accelerator");
  if (!spec.accelerator.empty() && spec.accelerator != accelerator)
    throw refused(
        reference + " was captured under " + accelerator + ", and its memory cannot go on under " + spec.accelerator,
        how_else);
  const std::string processor = fact(facts, "memory.processor");
  if (!processor.empty() && processor != host_processor())
    throw refused(reference + " cannot go on here: its guest ran on the host's processor as it is", how_else,
                  {"captured on: " + processor, "this host: " + host_processor()});
}

}  // namespace

Facts memory_facts(const Instance& instance) {
  Facts facts{
      {"memory.accelerator", instance.accelerator}, {"memory.uuid", instance.uuid}, {"memory.mac", instance.mac}};
  if (instance.accelerator == "kvm") facts["memory.processor"] = host_processor();
  return facts;
}

const ImagePart& resumable_memory(const ImageEntry& entry, const LaunchSpec& spec, const std::string& account) {
  require_nothing_else(spec);
  const std::string reference = entry.reference_for(account);
  const auto& parts = entry.image.parts;
  const auto part = std::ranges::find(parts, std::string(part_role::memory), &ImagePart::role);
  const Facts& facts = entry.image.facts;
  if (part == parts.end() || fact(facts, "memory.board").empty())
    throw refused(reference + " has no memory to go on from",
                  "capture one with: kiln capture INSTANCE --with-memory --name NAME");
  // QEMU trusts what it loads: a made-up state can be made to take QEMU over, which a guest cannot.
  const bool is_own = entry.owner == account && !facts.contains("source.copy");
  if (!is_own)
    throw refused(reference + " was made by another account, and the memory of a machine is loaded of your own only",
                  how_else);
  if (fact(facts, "source.digest") != "sha256:" + to_hex(entry.image.content))
    throw refused("the disk of " + reference + " was changed since its memory was captured", how_else);
  require_same_host(facts, spec, reference);
  return *part;
}

Resumption resumption_of(const Image& image) {
  return {fact(image.facts, "memory.board"), fact(image.facts, "memory.uuid"), fact(image.facts, "memory.mac")};
}

void write_memory(const BlockReader& from, const std::filesystem::path& file, const std::stop_token& stop,
                  const std::function<void(std::uint64_t done, std::uint64_t total)>& told) {
  File to = File::create(file);
  to.truncate(from.size());
  std::vector<std::byte> bytes(batch_size);
  for (std::uint64_t at = 0; at < from.size();) {
    if (stop.stop_requested()) throw cancelled();
    const Extent extent = from.extent_at(at);
    const std::uint64_t length = extent.data ? std::min(extent.length, batch_size - at % batch_size) : extent.length;
    if (extent.data) {
      const auto piece = std::span(bytes).first(length);
      from.read(at, piece);
      to.write_at(at, piece);
    }
    at += length;
    if (told) told(at, from.size());
  }
}

}  // namespace kiln::cli
