#pragma once
// Rows of the table of images inside a transaction: of images that are there, that are being made, and that failed.
//
// An image that is being made has a row under the id of its lease. Publishing replaces it; a lease that ends otherwise
// takes it along, or leaves it as one that failed, with the error.

#include <cstdint>
#include <optional>
#include <string>

#include "catalog/database.h"
#include "catalog/lifecycle.h"

namespace kiln {

struct ImageRow {
  std::string id, region, owner, name;
  std::string version;  ///< empty, of one that is being made: the next one of today
  Moment created;
  std::string facts;  ///< as JSON
  std::uint64_t stored_bytes = 0;
};

/// How long one that failed stays in the list when nobody removes it.
inline constexpr std::chrono::hours failure_term{24 * 30};

/// 2026-11-22.1, .2, …: one more than the highest number of that day; `today`: "2026-11-22".
std::string next_version(soci::session&, const std::string& region, const std::string& owner, const std::string& name,
                         const std::string& today);
/// Whether there is an image of that name and version. One that failed or is being made is none.
bool has_version(soci::session&, const std::string& region, const std::string& owner, const std::string& name,
                 const std::string& version);

/// Of an image that is there. Takes the place of those of its name and version that are not.
void insert_image_row(soci::session&, const ImageRow&);

/// Of one that is being made: `id` is that of the lease. Nothing is recorded while another one of its name and version
/// is there or being made: which of them will be there is decided at the end.
void begin_making(soci::session&, ImageRow);
/// It is not being made any longer. Returns the version that was set aside for it; empty when there was no row.
std::string end_making(soci::session&, const std::string& lease);
/// The same, but what was being made stays as one that failed, until its term is over.
void fail_making(soci::session&, const std::string& lease, const std::string& why, const Moment& now);

}  // namespace kiln
