#include "origin/stdin_source.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include <kiln/finding.h>
#include <kiln/value.h>

#include "origin/sparse_writer.h"

namespace kiln::import {
namespace {

constexpr int pulse = 100;  // milliseconds

/// 0 at the end.
std::size_t read_stdin(Context& ctx, std::span<std::byte> into) {
  for (;;) {
    if (ctx.stop().stop_requested()) throw cancelled();
    pollfd input{STDIN_FILENO, POLLIN, 0};
    const int ready = ::poll(&input, 1, pulse);
    if (ready < 0 && errno != EINTR) throw system_error("cannot wait for the standard input", errno);
    if (ready <= 0) continue;
    const ssize_t n = ::read(STDIN_FILENO, into.data(), into.size());
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno != EINTR && errno != EAGAIN) throw system_error("cannot read the standard input", errno);
  }
}

}  // namespace

Spooled spool_stdin(Context& ctx, std::uint64_t limit, bool sha512) {
  if (::isatty(STDIN_FILENO) != 0)
    throw invalid("the standard input is a terminal", "send a disk image into it: … | kiln import - --name NAME")
        .as(code::not_a_file);
  const std::filesystem::path path = ctx.scratch() / "stdin";
  File file = File::create(path);
  std::filesystem::remove(path);
  RunningDigests digests(sha512);
  SparseWriter writer(file, 0);
  std::vector<std::byte> buffer(1u << 20);
  while (const std::size_t n = read_stdin(ctx, buffer)) {
    if (n > limit - writer.position())
      throw refused("the standard input has more than the " + format_bytes(limit) + " that are allowed",
                    "is it a disk image? if so, set limit")
          .as(code::disk_too_large);
    const auto bytes = std::span<const std::byte>(buffer).first(n);
    digests.update(bytes);
    writer.take(bytes);
    ctx.progress({Progress::Unit::bytes, static_cast<double>(writer.position()), 0, "reading the standard input"});
  }
  writer.flush();
  return {std::move(file), digests.finish()};
}

}  // namespace kiln::import
