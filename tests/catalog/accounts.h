#pragma once
// Several accounts that use one catalog, as several users of one host do: each with a LocalCatalog of its own.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "catalog/labels.h"
#include "catalog/life.h"
#include "catalog/names.h"
#include "catalog/sharing.h"
#include "catalog/store.h"
#include "fixture.h"
#include "support/postgres.h"

namespace kiln::test {

inline constexpr const char* long_ago = "2001-01-01T00:00:00Z";
inline constexpr const char* far_away = "2999-01-01T00:00:00Z";

class Accounts {
 public:
  explicit Accounts(std::filesystem::path folder, std::string database = {})
      : folder_(std::move(folder)), database_(std::move(database)) {}

  /// The account of that name; one whose name begins with "operator" is one.
  LocalCatalog& as(const std::string& name) {
    auto& catalog = catalogs_[name];
    if (!catalog)
      catalog = std::make_unique<LocalCatalog>(folder_, Account{name, name.starts_with("operator")}, database_);
    return *catalog;
  }
  Life life(const std::string& name) { return Life(as(name).view()); }
  Labels labels(const std::string& name) { return Labels(as(name).view()); }
  Sharing sharing(const std::string& name) { return Sharing(as(name).view()); }
  ImageRecords& records() { return as("operator").view().store().images; }

  /// "web:1" of one chunk, built from `parents`. The content is the same each time, so it costs little.
  Image publish(const std::string& owner, const std::string& reference, const std::vector<std::string>& parents = {},
                const std::string& channel = {}, Facts facts = {}) {
    const Reference wanted = parse_reference(reference);
    if (parents.size() == 1) facts["parent"] = parents.front();
    if (parents.size() < 2)
      return test::publish(as(owner), disk_, {wanted.name, wanted.tag, channel, 0, std::move(facts)}).image;
    // A draft names one parent; the records know any number.
    Image image = as(owner).show(parents.front()).image;
    NewDisk disk;
    disk.disk = {image.content, image.virtual_size, 1};
    image.id = random_id(), image.name = wanted.name, image.version = wanted.tag;
    return records().add({image, home_region, owner, channel, parents, disk, {}}).value();
  }
  /// Offered by its owner, and answered.
  void share(const std::string& owner, const std::string& reference, const std::string& member, bool accept = true,
             bool may_copy = false) {
    sharing(owner).offer(reference, {member}, may_copy);
    if (accept) (void)sharing(member).accept(owner + "/" + reference);
  }

 private:
  std::filesystem::path folder_;
  std::string database_;
  MemoryDisk disk_ = make_disk(chunk_size, 1);
  std::map<std::string, std::unique_ptr<LocalCatalog>> catalogs_;
};

/// A test that runs on SQLite and on PostgreSQL: KILN_ON_BOTH_DATABASES(Suite) below it.
class OnBothDatabases : public testing::TestWithParam<bool> {
 protected:
  TempDir folder;
  std::string database = GetParam() ? PostgresServer::shared().new_database() : "";
  Accounts accounts{folder / "c", database};
};

#define KILN_ON_BOTH_DATABASES(Suite)                                      \
  INSTANTIATE_TEST_SUITE_P(Databases, Suite, testing::Values(false, true), \
                           [](const auto& with) { return std::string(with.param ? "PostgreSQL" : "SQLite"); })

/// "owner/name:version" of each, in the order given.
inline std::vector<std::string> names_of(const std::vector<ImageEntry>& entries) {
  std::vector<std::string> out;
  for (const ImageEntry& entry : entries) out.push_back(entry.owner + "/" + entry.reference());
  return out;
}

}  // namespace kiln::test
