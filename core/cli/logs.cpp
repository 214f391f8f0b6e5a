// kiln logs: what an instance wrote to its serial console, or what its QEMU said. Works on stopped ones too.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <kiln/file.h>
#include <kiln/text.h>
#include <nlohmann/json.hpp>

#include "cli/output.h"
#include "cli/services.h"
#include "cli/verbs.h"
#include "machine/qemu.h"
#include "machine/serial.h"

namespace kiln::cli {
namespace {

/// Bytes as they are into a pipe or a file. On a terminal, lines that cannot move its cursor: a guest wrote them.
class Printer {
 public:
  explicit Printer(Output& out) : out_(out), plain_(::isatty(STDOUT_FILENO) == 1) {}

  void add(std::string_view bytes) {
    if (!plain_) return out_.raw(bytes);
    for (const char c : bytes)
      if (c == '\n')
        end();
      else if (c != '\r')
        line_.push_back(c);
  }
  void end() {
    if (plain_) out_.line(printable(std::exchange(line_, {})));
  }
  void finish() {
    if (!line_.empty()) end();
    out_.flush();
  }

 private:
  Output& out_;
  const bool plain_;
  std::string line_;
};

/// Where the last `lines` lines of a file begin.
std::uint64_t begin_of_last(const std::filesystem::path& log, std::int64_t lines) {
  std::ifstream file(log, std::ios::binary | std::ios::ate);
  if (!file) return 0;
  const auto size = static_cast<std::uint64_t>(file.tellg());
  std::array<char, 65536> bytes;
  for (std::uint64_t end = size; end > 0;) {
    const std::uint64_t begin = end > bytes.size() ? end - bytes.size() : 0;
    file.seekg(static_cast<std::streamoff>(begin));
    file.read(bytes.data(), static_cast<std::streamsize>(end - begin));
    for (std::uint64_t at = end; at-- > begin;)
      // The end of the last line is the end of no other.
      if (bytes[at - begin] == '\n' && at + 1 != size && --lines <= 0) return at + 1;
    end = begin;
  }
  return 0;
}

void print_from(LogTail& log, Printer& to) {
  for (std::string bytes; !(bytes = log.next()).empty();) to.add(bytes);
}

void follow(Call& call, const std::string& name, LogTail& log, Printer& to) {
  const Instances instances = call.services.instances();
  for (bool running = true; running && !call.stop.stop_requested();) {
    running = instances.get(name).state == Instance::State::running;
    print_from(log, to);  // also what it wrote last
    call.out.flush();
    if (running) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

/// What its host keeps; that is asked once.
int print_elsewhere(Call& call, const Instance& instance) {
  for (const char* option : {"follow", "qemu", "tail"})
    if (call.args.has(option))
      throw refused(fmt::format("--{} is for instances of this host, and \"{}\" is on {}", option, instance.name,
                                instance.connect),
                    "leave it out");
  const std::string text = call.services.instances().serial_text(instance.name, 64u << 20);
  if (call.out.json()) {
    call.out.object({{"name", instance.name}, {"state", to_text(instance.state)}, {"file", nullptr}, {"log", text}});
    return 0;
  }
  Printer printer(call.out);
  printer.add(text);
  printer.finish();
  return 0;
}

}  // namespace

int run_logs(Call& call) {
  const std::string name = call.args.text("NAME");
  const Instance instance = call.services.instances().get(name);
  if (instance.driver != "qemu") return print_elsewhere(call, instance);
  const bool follows = call.args.has("follow");
  const auto file = instance.folder / (call.args.has("qemu") ? machine_file::qemu_log : machine_file::serial_log);
  const std::uint64_t begin =
      call.args.has("tail") ? begin_of_last(file, call.args.integer("tail", 10, 1, 1'000'000)) : 0;
  if (call.out.json()) {
    if (follows) throw invalid("--follow has no form in JSON", "leave out one of --follow and --json");
    const std::string text = std::filesystem::exists(file) ? read_text(file, 256u << 20).substr(begin) : "";
    call.out.object({{"name", name}, {"state", to_text(instance.state)}, {"file", file.string()}, {"log", text}});
    return 0;
  }
  LogTail log(file, begin);
  Printer printer(call.out);
  print_from(log, printer);
  if (follows) follow(call, name, log, printer);
  printer.finish();
  return 0;
}

}  // namespace kiln::cli
