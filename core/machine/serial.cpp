#include "machine/serial.h"

#include <algorithm>
#include <array>
#include <fstream>

namespace kiln {
namespace {

constexpr std::size_t longest_line = 400;

struct Sign {
  std::string_view text;
  BootProblem problem;
};

const std::array<Sign, 10>& signs() {
  static const std::array<Sign, 10> all{{
      {"Unable to mount root fs",
       {"the kernel found no root file system", "is virtio_blk in the initramfs, and root= right?", true}},
      {"Gave up waiting for root",
       {"the kernel found no root file system", "is virtio_blk in the initramfs, and root= right?", true}},
      {"grub rescue>",
       {"GRUB did not find its files", "was the disk cut off, or its boot partition moved? reinstall GRUB on it",
        true}},
      {"No bootable device",
       {"the BIOS found nothing to boot", "if the disk boots with UEFI, use firmware = \"uefi\"", true}},
      {"No bootable option or device was found",
       {"the UEFI firmware found nothing to boot", "if the disk boots with BIOS, use firmware = \"bios\"", true}},
      {"UEFI Interactive Shell",
       {"the UEFI firmware found nothing to boot", "if the disk boots with BIOS, use firmware = \"bios\"", true}},
      {"Kernel panic - not syncing", {"the kernel panicked", "the lines above say why", true}},
      {"You are in emergency mode",
       {"the system stopped in emergency mode", "does /etc/fstab name a disk that is not there?", true}},
      {"(initramfs)",
       {"the initramfs gave up", "the lines above say why: the root file system was not found, or not whole", true}},
      {"login:", {"", "the system is up: is the text that is waited for right?", false}},
  }};
  return all;
}

bool is_firmware_talk(const std::string& line) {
  return line.empty() || line.starts_with("SeaBIOS") || line.starts_with("Booting from") ||
         line.starts_with("BdsDxe: ");
}

}  // namespace

bool SerialWatch::is_text(char c) {
  switch (state_) {
    case State::text:
      if (c == '\x1b') state_ = State::escape;
      return c != '\x1b' && c != '\r' && c != '\0' && c != '\a';
    case State::escape:
      state_ = c == '[' ? State::csi : c == ']' ? State::osc : State::text;
      return false;
    case State::csi:  // ECMA-48: parameters, then one final byte in 0x40..0x7e
      if (c >= 0x40 && c <= 0x7e) state_ = State::text;
      return false;
    case State::osc:  // ends with BEL, or with ESC and a backslash
      if (c == '\a' || c == '\n') state_ = State::text;
      if (c == '\x1b') state_ = State::osc_escape;
      return false;
    case State::osc_escape:
      state_ = State::text;
      return false;
  }
  return false;
}

void SerialWatch::take(char c) {
  if (c == '\n') {
    kept_.push_back(std::move(line_));
    line_.clear();
    if (kept_.size() > kept_lines) kept_.pop_front();
    ++lines_;
  } else if (line_.size() < longest_line) {
    line_.push_back(c);
  }
  if (found_ || expected_.empty()) return;
  window_.push_back(c);
  if (window_.size() > expected_.size()) window_.erase(0, 1);
  if (window_ == expected_) {
    found_ = true;
    found_line_ = c == '\n' ? kept_.back() : line_;
  }
}

void SerialWatch::feed(std::string_view bytes) {
  for (const char c : bytes)
    if (is_text(c)) take(c);
}

std::vector<std::string> SerialWatch::tail() const {
  std::vector<std::string> all(kept_.begin(), kept_.end());
  if (!line_.empty()) all.push_back(line_);
  if (all.size() > kept_lines) all.erase(all.begin());
  return all;
}

std::string SerialWatch::last_line() const {
  const std::vector<std::string> all = tail();
  const auto it = std::find_if(all.rbegin(), all.rend(), [](const std::string& l) { return !l.empty(); });
  return it == all.rend() ? std::string() : *it;
}

std::string LogTail::next() {
  std::ifstream file(path_, std::ios::binary);
  if (!file) return {};
  file.seekg(static_cast<std::streamoff>(offset_));
  std::string bytes(256 * 1024, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  offset_ += bytes.size();
  return bytes;
}

namespace {

/// "qemu: -blockdev {…}: No such file" without what is between the braces.
std::string without_descriptions(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    const std::size_t open = line.find(" {\""), close = line.rfind("}: ");
    out += open < close && close != std::string::npos ? line.substr(0, open) + " …" + line.substr(close + 1) : line;
    out += '\n';
    at = end + 1;
  }
  return out;
}

std::string end_of(const std::filesystem::path& log) {
  constexpr std::streamoff enough = 64 * 1024;
  std::ifstream file(log, std::ios::binary | std::ios::ate);
  if (!file) return {};
  const std::streamoff size = file.tellg();
  file.seekg(std::max<std::streamoff>(0, size - enough));
  std::string bytes(static_cast<std::size_t>(enough), '\0');
  file.read(bytes.data(), enough);
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  return bytes;
}

}  // namespace

std::vector<std::string> last_lines(const std::filesystem::path& log) {
  SerialWatch words("");
  words.feed(end_of(log));
  return words.tail();
}

std::vector<std::string> last_words(const std::filesystem::path& log) {
  SerialWatch words("");
  words.feed(without_descriptions(end_of(log)));
  return words.tail();
}

BootProblem explain_boot(const SerialWatch& serial) {
  const std::vector<std::string> lines = serial.tail();
  for (const Sign& sign : signs())
    for (const std::string& line : lines)
      if (line.find(sign.text) != std::string::npos) return sign.problem;
  if (std::all_of(lines.begin(), lines.end(), is_firmware_talk))
    return {"",
            "the guest wrote nothing to its serial console: its kernel needs console=ttyS0; is the firmware (bios or "
            "uefi) right?",
            false};
  return {"", "give it more time (timeout), or look at the serial log for where it stopped", false};
}

}  // namespace kiln
