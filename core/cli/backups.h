#pragma once
// Backups of instances: images that kiln backup captured, called <instance>-backup unless told otherwise.

#include <string>

#include "catalog/image_entry.h"
#include "cli/verbs.h"

namespace kiln::cli {

/// The image's name alone.
std::string backup_name(const Args&, const std::string& instance);

/// What --to says of an instance's backups: a version or a channel of them, or any image; without it the newest.
/// Throws invalid() when there is none.
ImageEntry find_backup(Call&, const std::string& instance);

/// Captures the instance into a new version of an image, with progress; nothing: what was wrong has been shown, and it
/// is exit code 2.
std::optional<ImageEntry> capture_as(Call&, const std::string& title, const std::string& instance,
                                     const std::string& image);

}  // namespace kiln::cli
