#pragma once
// The tables, and how a database of an older kiln gets them.

namespace soci {
class session;
}

namespace kiln {

/// Applies the migrations that are missing, each in a transaction of its own. One process at a time. Throws Error when
/// the database was made by a newer kiln.
void migrate(soci::session&);

}  // namespace kiln
