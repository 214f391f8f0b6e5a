#pragma once
// The manifest of an OVF package (DSP0243 2.1.1, 5.1): a digest for each of its files.

#include <string>
#include <vector>

#include <kiln/file.h>
#include <kiln/hash.h>

namespace kiln::import {

struct ManifestLine {
  std::string name;
  Algorithm algorithm = Algorithm::sha256;
  std::string digest;  ///< lower-case hexadecimal
  std::size_t number = 0;
};

/// All lines. Throws Error with code::manifest for one that cannot be read, and for a file that is there twice.
std::vector<ManifestLine> lines_of_manifest(const File&);

/// "SHA256"
std::string name_of(Algorithm);

}  // namespace kiln::import
