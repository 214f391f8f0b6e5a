#include "seeds.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <kiln/endian.h>
#include <kiln/file.h>

#include "formats/foreign/foreign_files.h"
#include "packed.h"
#include "support/run.h"

namespace kiln::fuzz {
namespace {

constexpr std::uint64_t disk_size = 40 * 1024;
constexpr std::uint64_t max_seed = 3u << 20;

/// A disk of 40 KiB: 4 KiB that compress, 2 KiB that do not, zeros.
std::vector<std::byte> disk() {
  std::vector<std::byte> bytes(chunk_size);
  for (std::size_t i = 0; i < 4096; ++i) bytes[8192 + i] = static_cast<std::byte>(i / 64);
  std::uint32_t random = 1;
  for (std::size_t i = 0; i < 2048; ++i) {
    random = random * 1664525 + 1013904223;
    bytes[20480 + i] = static_cast<std::byte>(random >> 24);
  }
  return bytes;
}

std::vector<std::byte> content(const std::filesystem::path& path) {
  const File file = File::open_read(path);
  std::vector<std::byte> bytes(file.size());
  file.read_at(0, bytes);
  return bytes;
}

std::vector<std::byte> written(const Format& format, const std::filesystem::path& path, const Table& options) {
  const auto bytes = disk();
  std::array<Digest, 1> digests{};
  digests[0].bytes.fill(std::byte{1});  // any that is not the one of zeros
  const auto sink = format.create_with(path, disk_size, options);
  const auto batch = std::make_shared<const Batch>(Batch{0, disk_size, bytes, digests});
  const auto encoded = sink->encode(batch);
  sink->append(*encoded);
  sink->store(*encoded);
  sink->finish();
  return content(path);
}

/// The options of `qemu-img create` and `convert` for a format that kiln knows under `name`.
std::vector<std::vector<std::string>> qemu_ways(const std::string& name) {
  if (name == "qcow2")
    return {{"qcow2", "compat=0.10,cluster_size=512"},
            {"qcow2", "cluster_size=16k,extended_l2=on"},
            {"qcow2", "cluster_size=512", "-c"},
            {"qcow2", "cluster_size=4k,compression_type=zstd", "-c"},
            {"qcow2", "cluster_size=1k,lazy_refcounts=on,refcount_bits=1"}};
  if (name == "vdi") return {{"vdi", "static=off"}, {"vdi", "static=on"}};
  if (name == "vhdx")
    return {{"vhdx", "subformat=fixed,block_size=1M"},
            {"vhdx", "subformat=dynamic,block_size=1M,block_state_zero=off"}};
  if (name == "vhd") return {{"vpc", "subformat=fixed"}, {"vpc", "subformat=dynamic"}, {"vpc", "force_size=on"}};
  if (name == "vmdk")
    return {{"vmdk", "subformat=monolithicSparse,zeroed_grain=on"},
            {"vmdk", "subformat=streamOptimized", "-c"},
            {"vmdk", "subformat=monolithicFlat"}};  // the descriptor alone
  if (name == "qed") return {{"qed", "cluster_size=4k,table_size=2"}};
  if (name == "parallels") return {{"parallels", "cluster_size=4k"}};
  return {};
}

/// Of the formats that neither kiln nor qemu-img writes.
std::vector<std::byte> made_by_hand(const std::string& name) {
  std::vector<std::byte> bytes = disk();
  bytes.resize(disk_size);
  if (name == "bochs") return test::bochs_disk(bytes);
  if (name == "cloop") return test::cloop_disk(bytes, 4096);
  if (name == "dmg") return test::dmg_disk(bytes);
  return {};
}

/// A VHDX as kiln writes it, with a log of one entry: a run of zeros, and a sector that is a copy of another one.
std::vector<std::byte> with_log(std::vector<std::byte> file) {
  const std::span<std::byte> all(file), log = all.subspan(1u << 20, 8192);
  const std::uint64_t size = file.size(), blocks = 4u << 20;
  for (const std::size_t header : {64u << 10, 128u << 10}) put_le<std::uint64_t>(all, header + 48, 7);
  const auto mark = [&](std::size_t at, std::string_view text) { std::memcpy(log.data() + at, text.data(), 4); };
  mark(0, "loge");
  put_le<std::uint32_t>(log, 8, 8192);
  put_le<std::uint64_t>(log, 16, 1);
  put_le<std::uint32_t>(log, 24, 2);
  put_le<std::uint64_t>(log, 32, 7);
  put_le<std::uint64_t>(log, 48, size);
  put_le<std::uint64_t>(log, 56, size);
  for (const std::size_t at : {64u, 96u}) {
    mark(at, at == 64 ? "zero" : "desc");
    put_le<std::uint64_t>(log, at + 8, 4096);
    put_le<std::uint64_t>(log, at + 16, blocks + (at == 64 ? 8192 : 24576));
    put_le<std::uint64_t>(log, at + 24, 1);
  }
  std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(blocks) + 20480, 1024, log.begin() + 4096 + 512);
  mark(4096, "data");
  put_le<std::uint32_t>(log, 8188, 1);
  return file;
}

}  // namespace

std::vector<Seed> seeds(const Format& format, const std::filesystem::path& folder) {
  std::vector<Seed> all;
  const auto file = folder / "seed", raw = folder / "raw";
  const auto add = [&](const std::string& name, std::vector<std::byte> bytes) {
    bytes = as_input(format.about().name, std::move(bytes));
    if (bytes.size() <= max_seed) all.push_back({name, std::move(bytes)});
    std::filesystem::remove(file);
  };
  Table common;
  for (const Param& param : format.about().params)
    if (param.name == "cluster_size") common[param.name] = Value{Bytes{512}};  // the structures are most of the file
  const bool is_foreign = !format.qemu_driver().empty();
  if (!is_foreign) add("plain", written(format, file, common));
  if (auto bytes = made_by_hand(format.about().name); is_foreign && !bytes.empty()) add("plain", std::move(bytes));
  for (const Param& param : format.about().params)
    for (const std::string& choice : param.choices) {
      Table options = common;
      options[param.name] = Value{choice};
      add(param.name + "-" + choice, written(format, file, options));
    }
  File::create(raw).write_at(0, std::span<const std::byte>(disk()).first(disk_size));
  for (const auto& way : qemu_ways(format.about().name)) {
    std::vector<std::string> args{"convert", "-f", "raw", "-O", way[0], "-o", way[1]};
    args.insert(args.end(), way.begin() + 2, way.end());
    args.insert(args.end(), {raw.string(), file.string()});
    test::qemu_img(args);
    add("qemu-" + std::to_string(all.size()), content(file));
    std::filesystem::remove(folder / "seed-flat");
  }
  std::filesystem::remove(raw);
  if (format.about().name == "vhdx") add("log", with_log(written(format, file, common)));
  return all;
}

}  // namespace kiln::fuzz
