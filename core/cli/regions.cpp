#include "cli/regions.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include <fmt/format.h>
#include <kiln/file.h>

#include "catalog/names.h"
#include "catalog/region/folder_region.h"

namespace kiln::cli {
namespace {

/// The services' own catalog, which lives as long as they do.
std::shared_ptr<LocalCatalog> borrowed(LocalCatalog& catalog) {
  return {std::shared_ptr<LocalCatalog>(), &catalog};
}

Error no_such_region(Services& services, const std::string& name) {
  std::vector<std::string> known;
  for (const RegionPlace& place : region_places(services)) known.push_back(place.name);
  const auto near = nearest(name, known);
  return invalid(fmt::format("there is no region \"{}\"", name),
                 near ? fmt::format("did you mean \"{}\"?", *near)
                      : fmt::format("see kiln region list; a region is a [region.{}] in {}", name,
                                    services.home().config().string()));
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// The file's first line. Refused when others may read it.
std::string secret_in(const std::string& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) throw system_error("cannot read the secret key " + file, errno);
  if ((status.st_mode & (S_IRGRP | S_IROTH)) != 0)
    throw refused("the secret key " + file + " can be read by others", "chmod 600 " + file);
  const std::string text = read_text(file, 4096);
  return text.substr(0, text.find_first_of("\r\n"));
}

s3::BucketPlace bucket_of(const engine::RegionConfig& region) {
  s3::BucketPlace place{.url = region.bucket};
  if (!region.region.empty()) place.region = region.region;
  place.access_key = region.access_key.empty() ? variable("AWS_ACCESS_KEY_ID") : region.access_key;
  place.secret_key =
      region.secret_key_file.empty() ? variable("AWS_SECRET_ACCESS_KEY") : secret_in(region.secret_key_file);
  return place;
}

bool is_within(const std::filesystem::path& inner, const std::filesystem::path& outer) {
  return std::ranges::mismatch(outer, inner).in1 == outer.end();
}

/// Two catalogs in one folder would take each other's files for nobody's. And a folder that is made where a share
/// should have been mounted fills another disk.
void require_place(Services& services, const engine::RegionConfig& region) {
  const std::filesystem::path given(region.folder), folder = std::filesystem::weakly_canonical(given),
                                                    home = std::filesystem::weakly_canonical(services.catalog_folder());
  if (is_within(folder, home) || is_within(home, folder))
    throw invalid(fmt::format("region \"{}\": {} and this home's own catalog, {}, are in each other", region.name,
                              given.string(), home.string()),
                  "give the region a folder of its own");
  if (!std::filesystem::exists(folder) && !std::filesystem::exists(folder.parent_path()))
    throw Error(
        fmt::format("region \"{}\": there is no {}, nor the folder that it would be in", region.name, given.string()),
        fmt::format("is the disk mounted? Otherwise: mkdir -p {}", given.parent_path().string()));
}

}  // namespace

std::vector<RegionPlace> region_places(Services& services) {
  std::vector<RegionPlace> out{{home_region, "folder", services.catalog_folder().string()}};
  for (const engine::RegionConfig& region : services.config().regions) {
    require_name("region name", region.name);
    if (region.name == home_region)
      throw invalid(
          fmt::format("{}: \"{}\" is the catalog of this home itself", services.home().config().string(), home_region),
          "give the region another name");
    const bool folder = !region.folder.empty();
    out.push_back({region.name, folder ? "folder" : "bucket", folder ? region.folder : region.bucket});
  }
  return out;
}

OpenedRegion open_place(Services& services, const std::string& name) {
  if (name == home_region) return {borrowed(services.catalog()), nullptr};
  (void)region_places(services);  // says what is wrong with the names
  const auto& regions = services.config().regions;
  const auto found = std::ranges::find(regions, name, &engine::RegionConfig::name);
  if (found == regions.end()) throw no_such_region(services, name);
  const Account account = services.catalog().view().account();
  if (!found->bucket.empty())
    return {nullptr, std::make_unique<BucketRegion>(name, bucket_of(*found), account, services.home().region(name))};
  require_place(services, *found);
  return {std::make_shared<LocalCatalog>(found->folder, account), nullptr};
}

std::unique_ptr<Region> open_region(Services& services, const std::string& name) {
  OpenedRegion place = open_place(services, name);
  if (place.bucket) return std::move(place.bucket);
  return std::make_unique<FolderRegion>(name, std::move(place.folder));
}

}  // namespace kiln::cli
