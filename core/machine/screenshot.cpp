#include "machine/screenshot.h"

#include <png.h>

#include <memory>
#include <vector>

#include <kiln/file.h>
#include <nlohmann/json.hpp>

#include "machine/qemu.h"
#include "process/file_lock.h"
#include "qmp/qmp.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
constexpr std::uint64_t longest_file = 64u << 20;
constexpr unsigned longest_side = 16384;

/// Decodes the whole of it, so that what is handed on is a picture and nothing else.
Screenshot check(const std::string& bytes) {
  const auto broken = [](const std::string& why) { return Error("qemu's screenshot is no picture: " + why); };
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  const std::unique_ptr<png_image, decltype(&png_image_free)> closing(&image, png_image_free);
  if (png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) == 0) throw broken(image.message);
  const Screenshot found{image.width, image.height};
  if (found.width > longest_side || found.height > longest_side) throw broken("it is too large");
  image.format = PNG_FORMAT_RGB;
  std::vector<png_byte> pixels(PNG_IMAGE_SIZE(image));
  if (png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr) == 0) throw broken(image.message);
  return found;
}

}  // namespace

Screenshot take_screenshot(const Instance& instance, const std::filesystem::path& file, std::stop_token stop) {
  require_here(instance, "take a picture of");
  if (instance.state != Instance::State::running)
    throw Error("\"" + instance.name + "\" is not running", "kiln start " + instance.name);
  // Two kilns would write one file.
  const FileLock lock = FileLock::exclusive(instance.folder / machine_file::screen_lock);
  const auto made = instance.folder / machine_file::screen;
  std::filesystem::remove(made);
  const nlohmann::json how{{"filename", machine_file::screen}, {"format", "png"}};
  try {
    Qmp::connect(instance.folder / machine_file::qmp, 5s, std::move(stop)).execute("screendump", how, 20s);
  } catch (const Error& error) {
    if (std::string_view(error.what()).find("no QemuConsole") == std::string_view::npos) throw;
    throw Error("\"" + instance.name + "\" was started without a screen", "kiln restart " + instance.name);
  }
  const std::string bytes = read_text(made, longest_file);
  std::filesystem::remove(made);
  const Screenshot found = check(bytes);
  write_text(file, bytes);
  return found;
}

}  // namespace kiln
