#pragma once
// What a stage's result depends on, as one digest:
//
//     sha256( "kiln-key-1" ⏎ key before ⏎ stage ⏎ revision ⏎ canonical parameters ⏎ fingerprint [⏎ account] )
//
// Parameters come with their defaults filled in, files by their content, secrets by their digest. Where a file lies,
// the order of keys in the pipeline, kiln's version and the host's name have no say.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <kiln/stage.h>

#include "engine/inputs.h"
#include "engine/record.h"

namespace kiln::engine {

struct Key {
  std::string hex;
  std::vector<KeyPart> parts;  ///< in the order in which they are compared; the key before is not among them
};

/// `before`: the key of the chain so far; empty for a source. `account`: whose run it is, as far as that decides the
/// result: what a sink leaves belongs to somebody, and another account's is not there for this one. Calls the stage's
/// fingerprint().
Key stage_key(std::string_view before, const Stage&, const Table& params, InputDigests&, std::string_view account = {});
/// The account as stage_key() takes it: empty for sources and changes, whose results are everybody's.
std::string_view account_in_key(const Stage&, std::string_view account);

/// How the chain goes on after a source: by what the disk holds, not by where it came from.
std::string content_key(const Digest& content);

/// A key that an --again made different; `nonce` empty gives the key itself.
std::string renewed_key(const std::string& key, const std::string& nonce);

/// `hostname changed: "a" → "b"`; nothing when all parts are equal.
std::optional<std::string> first_difference(const std::vector<KeyPart>& old_parts,
                                            const std::vector<KeyPart>& new_parts);

}  // namespace kiln::engine
