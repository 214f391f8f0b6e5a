#include "nbd/nbd_writer.h"

#include <libnbd.h>

#include <kiln/error.h>

#include "qmp/json_socket.h"

namespace kiln {
namespace {

void expect(int result, const char* doing) {
  if (result == 0) return;
  const char* words = nbd_get_error();
  throw Error(std::string("cannot ") + doing + " the disk of the instance", "is the host's disk full?",
              {words == nullptr ? "" : words});
}

}  // namespace

struct NbdWriter::Handle {
  nbd_handle* nbd = nbd_create();
  ~Handle() { nbd_close(nbd); }
};

NbdWriter::NbdWriter(const std::filesystem::path& socket, const std::string& export_name)
    : handle_(std::make_unique<Handle>()) {
  if (handle_->nbd == nullptr) throw Error("out of memory");
  expect(nbd_set_export_name(handle_->nbd, export_name.c_str()), "name");
  expect(nbd_connect_socket(handle_->nbd, connect_unix(socket)), "open");
}

NbdWriter::~NbdWriter() = default;

std::uint64_t NbdWriter::size() const {
  const std::int64_t size = nbd_get_size(handle_->nbd);
  expect(size < 0 ? -1 : 0, "measure");
  return static_cast<std::uint64_t>(size);
}

void NbdWriter::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  expect(nbd_pwrite(handle_->nbd, bytes.data(), bytes.size(), offset, 0), "write");
}

void NbdWriter::zero(std::uint64_t offset, std::uint64_t length) {
  expect(nbd_zero(handle_->nbd, length, offset, 0), "write");
}

void NbdWriter::finish() {
  expect(nbd_flush(handle_->nbd, 0), "write");
  expect(nbd_shutdown(handle_->nbd, 0), "close");
}

}  // namespace kiln
