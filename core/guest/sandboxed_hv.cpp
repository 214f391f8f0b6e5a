#include "guest/sandboxed_hv.h"

#include <kiln/file.h>

#include "process/sandbox.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

/// So that libguestfs, which remembers what it found of a QEMU under the size and time of its file, does so once.
constexpr std::size_t script_size = 16 * 1024;
/// Of QEMU itself, beside the guest's memory: its code, the translated code, stacks of threads.
constexpr std::uint64_t of_qemu = 4ull << 30;
constexpr char socket_bind[] = "@socket@";

/// libguestfs' socket is known from its own words: -chardev
/// socket,path=/tmp/libguestfsXXXXXX/guestfsd.sock,id=channel0. It ends its QEMU by SIGTERM once all is written, and
/// takes any end but a clean one for a failure; bwrap would not pass that on.
constexpr char before[] =
    "#!/usr/bin/env -S setpriv --pdeathsig KILL sh\n"
    "for word; do\n"
    "  case $word in socket,path=/*/guestfsd.sock,*)\n"
    "    at=${word#socket,path=}; at=${at%%/guestfsd.sock,*};;\n"
    "  esac\n"
    "done\n"
    "trap 'kill -KILL $machine; wait; exit 0' TERM\n"
    "exec 3<&0\n";
constexpr char after[] =
    " \"$@\" <&3 3<&- &\n"
    "machine=$!\n"
    "wait $machine\n";

/// A word that sh(1) takes as it is.
std::string quoted(const std::string& word) {
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

Limits limits_for(const HvOptions& options) {
  return {.memory = (static_cast<std::uint64_t>(options.memory_mib) << 20) + of_qemu,
          .file_size = 4ull << 30,
          .cpu_seconds = 24 * 3600,
          .tasks = 512,
          .scratch = 1ull << 30};
}

}  // namespace

void write_hv(const fs::path& file, const fs::path& qemu, const HvOptions& options) {
  NamedSandbox box{.readable = options.readable, .writable = {options.writable}, .limits = limits_for(options)};
  if (options.kvm) box.devices = {"/dev/kvm"};
  std::string text(before);
  for (const std::string& word : sandbox_words(box, {socket_bind}))
    text += word == socket_bind ? "${at:+--ro-bind \"$at\" \"$at\"} " : quoted(word) + " ";
  text += quoted(fs::canonical(qemu).string()) + after;
  if (text.size() + 2 > script_size) throw Error("the paths of the appliance are too long");
  text += "#" + std::string(script_size - text.size() - 2, '.') + "\n";
  write_text(file, text);
  fs::permissions(file, fs::perms::owner_all);
  fs::last_write_time(file, fs::last_write_time(fs::canonical(qemu)));
}

}  // namespace kiln
