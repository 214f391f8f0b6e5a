#pragma once
// What kiln-domain-keeper does: what core/machine's keeper does for a QEMU of this host, for a domain through libvirt.
//
// It is a program of its own, because kiln may be killed, and because kiln-keeper need not know libvirt.
//   freeze   keeps a guest frozen and thaws it: machine/freezer.h says what is read and written
//   backup   ends a backup job whose kiln is gone. On its standard input come bytes that say how far the job is; the
//   end
//            without backup_done is the word

#include <filesystem>
#include <string>

#include "machine/keeper.h"

namespace kiln {

/// A domain as another process finds it.
struct DomainPlace {
  std::string connect, uuid;
};

inline constexpr char backup_begins = 'b', backup_runs = 'r', backup_done = 'd';

/// Freezes; for Freeze::begin().
Keeper start_domain_freezer(const DomainPlace&, Duration limit);
/// `folder`: of the job's socket, which tells it from other jobs; is removed as well.
Keeper start_backup_keeper(const DomainPlace&, const std::filesystem::path& folder);

/// These two are the program. They return its exit code.
int freeze_domain(const DomainPlace&, Duration limit);
int end_backup_when_left(const DomainPlace&, const std::filesystem::path& folder, int word);

}  // namespace kiln
