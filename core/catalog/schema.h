#pragma once
// The tables, and how a database of an older kiln gets them.

namespace soci {
class session;
}

namespace kiln {

/// Without a transaction, and without writing: what every start asks.
bool schema_is_current(soci::session&);

/// Applies the next migration that is missing; false when there is none. Inside the caller's transaction. Throws Error
/// when the database was made by a newer kiln.
bool migrate_one_step(soci::session&);

}  // namespace kiln
