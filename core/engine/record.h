#pragma once
// What kiln remembers of a stage that ran: beside its layer, or under its key when it made none. JSON.

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <kiln/digest.h>
#include <kiln/format.h>

namespace kiln::engine {

/// One named piece of what a key is made of, as text: {"files[0].content", "\"hello\""}. Secrets as digests.
struct KeyPart {
  std::string name, text;
  bool operator==(const KeyPart&) const = default;
};

using Clock = std::chrono::system_clock;

struct Record {
  std::string stage, key;
  std::vector<KeyPart> parts;
  std::string summary;  ///< the line shown when it was done
  Facts facts;          ///< those that the stage added or changed
  Duration elapsed{};
  Clock::time_point created{};
  std::optional<Digest> content;         ///< of the disk after it; sinks have none
  std::string parent;                    ///< layers: key of the layer below; empty for a base
  std::optional<Digest> parent_content;  ///< layers: what the layer below held when this one was made
  std::uint64_t size = 0;                ///< layers: of the disk
};

/// Nothing when the file is missing or is not a record: then the stage counts as never run.
std::optional<Record> read_record(const std::filesystem::path&);
/// In one step; durable when asked for.
void write_record(const std::filesystem::path&, const Record&, bool durable);

/// "just now", "5 min ago", "2 h ago", "3 d ago".
std::string ago(Clock::time_point, Clock::time_point now = Clock::now());
/// ISO 8601, UTC: "2026-11-22T16:05:00Z".
std::string to_iso(Clock::time_point);

}  // namespace kiln::engine
