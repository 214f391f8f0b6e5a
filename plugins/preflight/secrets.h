#pragma once
// What everybody who launches the image could read. Contents are never told, only where they are.

#include "survey.h"

namespace kiln::preflight {

/// SecretsFound: private keys, credentials and tokens as warnings, host keys as a note.
Findings look_at_secrets(const System&);

}  // namespace kiln::preflight
