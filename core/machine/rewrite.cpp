#include "machine/rewrite.h"

#include <libnbd.h>

#include <algorithm>
#include <memory>

#include <kiln/file.h>

#include "machine/qemu.h"
#include "qmp/json_socket.h"

namespace kiln {
namespace {

using Nbd = std::unique_ptr<nbd_handle, decltype(&nbd_close)>;

void expect(int result, const char* doing) {
  if (result == 0) return;
  const char* words = nbd_get_error();
  throw Error(std::string("cannot ") + doing + " the disk of the instance", "is the host's disk full?",
              {words == nullptr ? "" : words});
}

Nbd connect(const DiskServer& server) {
  Nbd nbd(nbd_create(), nbd_close);
  if (!nbd) throw Error("out of memory");
  expect(nbd_set_export_name(nbd.get(), DiskServer::export_name), "name");
  expect(nbd_connect_socket(nbd.get(), connect_unix(server.nbd_socket())), "open");
  return nbd;
}

/// Asks not to allocate: zeros where the disk below has data are marked, and take no space.
void write_run(nbd_handle* nbd, const BlockReader& wanted, const ChunkRun& run, std::vector<std::byte>& buffer) {
  const std::uint64_t offset = run.first * chunk_size;
  const std::uint64_t disk = static_cast<std::uint64_t>(nbd_get_size(nbd));
  const std::uint64_t end = std::min(offset + run.count * chunk_size, disk);
  if (end <= offset) return;
  if (run.zeros) return expect(nbd_zero(nbd, end - offset, offset, 0), "write");
  const std::uint64_t there = std::min(end, wanted.size()) - offset;
  buffer.assign(end - offset, std::byte{0});
  wanted.read(offset, std::span(buffer).first(there));
  expect(nbd_pwrite(nbd, buffer.data(), buffer.size(), offset, 0), "write");
}

}  // namespace

void rewrite_disk(const Instance& instance, std::size_t number, const BlockReader& wanted,
                  const std::vector<ChunkRun>& runs, const std::stop_token& stop,
                  const std::function<void(std::uint64_t done, std::uint64_t total)>& told) {
  std::uint64_t total = 0, done = 0;
  for (const ChunkRun& run : runs) total += run.count * chunk_size;
  const DiskServer server(instance, number, stop);
  const Nbd nbd = connect(server);
  std::vector<std::byte> buffer;
  for (const ChunkRun& run : runs) {
    if (stop.stop_requested()) throw cancelled();
    write_run(nbd.get(), wanted, run, buffer);
    done += run.count * chunk_size;
    if (told) told(done, total);
  }
  expect(nbd_flush(nbd.get(), 0), "write");
  expect(nbd_shutdown(nbd.get(), 0), "close");
}

void flush(const DiskServer& server) {
  const Nbd nbd = connect(server);
  expect(nbd_flush(nbd.get(), 0), "write");
  expect(nbd_shutdown(nbd.get(), 0), "close");
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
