#include "libvirt/connection.h"

#include <libvirt/virterror.h>

namespace kiln {
namespace {

constexpr char how_to_reach[] = "is libvirtd running there, and may you use it? Try: virsh -c '";

/// Pings need a loop that somebody runs; it ends with the program.
void prepare_libvirt() {
  static std::once_flag once;
  std::call_once(once, [] {
    virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});  // it would print them
    if (virInitialize() != 0 || virEventRegisterDefaultImpl() != 0) throw libvirt_error("cannot use libvirt");
    std::thread([] {
      while (virEventRunDefaultImpl() == 0) {
      }
    }).detach();
  });
}

/// ssh would ask for passwords on the terminal, and several hosts are asked at once.
std::string without_questions(const std::string& uri) {
  const std::size_t scheme = uri.find("://");
  if (scheme == std::string::npos || uri.substr(0, scheme).find("+ssh") == std::string::npos ||
      uri.find("no_tty=") != std::string::npos)
    return uri;
  return uri + (uri.find('?') == std::string::npos ? "?" : "&") + "no_tty=1";
}

}  // namespace

Error libvirt_error(const std::string& what, std::string hint) {
  const virError* error = virGetLastError();
  std::string words = error != nullptr && error->message != nullptr ? error->message : "libvirt does not say why";
  return Error(what + ": " + words, std::move(hint));
}

int last_libvirt_error() {
  return virGetLastErrorCode();
}

Connection::Connection(const std::string& uri) {
  prepare_libvirt();
  connection_ = virConnectOpen(uri.empty() ? nullptr : without_questions(uri).c_str());
  if (connection_ == nullptr)
    throw libvirt_error("cannot connect to " + (uri.empty() ? "libvirt" : uri), how_to_reach + uri + "' version");
  virConnectSetKeepAlive(connection_, 5, 3);  // a host that cannot do it is none that a network lies before
}

Connection::~Connection() {
  virConnectClose(connection_);
}

std::string Connection::uri() const {
  const std::unique_ptr<char, Freed<free>> text(virConnectGetURI(connection_));
  if (!text) throw libvirt_error("cannot name the host");
  return text.get();
}

std::shared_ptr<Connection> Connections::open(const std::string& uri) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = open_.find(uri); found != open_.end() && found->second->alive()) return found->second;
  }
  auto made = std::make_shared<Connection>(uri);
  const std::lock_guard lock(mutex_);
  return open_[uri] = std::move(made);
}

}  // namespace kiln
