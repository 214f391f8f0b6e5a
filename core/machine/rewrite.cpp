#include "machine/rewrite.h"

#include <algorithm>

#include <kiln/file.h>

#include "machine/qemu.h"
#include "nbd/nbd_writer.h"

namespace kiln {
namespace {

void write_run(NbdWriter& disk, const BlockReader& wanted, const ChunkRun& run, std::vector<std::byte>& buffer) {
  const std::uint64_t offset = run.first * chunk_size;
  const std::uint64_t end = std::min(offset + run.count * chunk_size, disk.size());
  if (end <= offset) return;
  if (run.zeros) return disk.zero(offset, end - offset);
  const std::uint64_t there = std::min(end, wanted.size()) - offset;
  buffer.assign(end - offset, std::byte{0});
  wanted.read(offset, std::span(buffer).first(there));
  disk.write(offset, buffer);
}

}  // namespace

void rewrite_disk(const Instance& instance, std::size_t number, const BlockReader& wanted,
                  const std::vector<ChunkRun>& runs, const std::stop_token& stop,
                  const std::function<void(std::uint64_t done, std::uint64_t total)>& told) {
  std::uint64_t total = 0, done = 0;
  for (const ChunkRun& run : runs) total += run.count * chunk_size;
  const DiskServer server(instance, number, stop);
  NbdWriter disk(server.nbd_socket(), DiskServer::export_name);
  std::vector<std::byte> buffer;
  for (const ChunkRun& run : runs) {
    if (stop.stop_requested()) throw cancelled();
    write_run(disk, wanted, run, buffer);
    done += run.count * chunk_size;
    if (told) told(done, total);
  }
  disk.finish();
}

void flush(const DiskServer& server) {
  NbdWriter(server.nbd_socket(), DiskServer::export_name).finish();
}

void rewrite_vars(const Instance& instance, const BlockReader& wanted) {
  if (instance.hardware.firmware == Firmware::bios) return;
  const auto file = instance.folder / machine_file::vars;
  if (const std::uint64_t size = std::filesystem::file_size(file); size != wanted.size())
    throw refused("the backup's firmware variables have " + format_bytes(wanted.size()) + ", and those of instance \"" +
                      instance.name + "\" " + format_bytes(size),
                  "make a new instance of it with --as, where the same firmware is installed");
  std::vector<std::byte> bytes(wanted.size());
  wanted.read(0, bytes);
  PendingFile pending(file);
  File::create(pending.path()).write_at(0, bytes);
  pending.commit(true);
}

}  // namespace kiln
