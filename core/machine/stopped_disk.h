#pragma once
// The files of a machine that is shut off, read natively.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <kiln/block.h>
#include <kiln/format.h>

#include "disk/manifest.h"

namespace kiln {

struct StoppedFile {
  std::string machine;  ///< for messages
  std::filesystem::path file;
  const Format& format;                      ///< as the machine's record says, whatever the file looks like
  std::shared_ptr<const BlockReader> below;  ///< what an overlay lies on; null: nothing
  std::optional<Manifest> base;              ///< what is in `below`, when that is known
};

/// While the reader lives, QEMU refuses to start on the file. Throws Error when somebody writes to it.
std::shared_ptr<const BlockReader> open_stopped(const StoppedFile&);

/// The variables of a firmware: at most 64 MiB. Read whole at once, so that it is of one moment too.
std::shared_ptr<const BlockReader> read_vars_file(const std::filesystem::path&);

}  // namespace kiln
