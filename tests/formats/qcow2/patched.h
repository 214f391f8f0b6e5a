#pragma once
// A qcow2 file of qemu-img's, to be changed byte by byte.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include <kiln/endian.h>

#include "support/disks.h"
#include "support/plugins.h"
#include "support/run.h"
#include "support/temp.h"

namespace kiln::test {

/// What an Error said.
struct Said {
  std::string what, hint;
  std::vector<std::string> evidence;
  Failure failure = Failure::failed;
  bool thrown = false;
};

inline Said said(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& e) {
    return {e.what(), e.hint(), e.evidence(), e.failure(), true};
  }
  return {};
}

/// Tests with a small image: 4 MiB, of which 1 MiB from 64 KiB on is text.
class Patched : public testing::Test {
 protected:
  static constexpr std::uint64_t KiB = 1024, MiB = 1024 * KiB;

  Patched() { write_raw(raw_, {"small", 4 * MiB, {{64 * KiB, MiB, Piece::Kind::text}}}); }

  /// Makes the image anew with qemu-img's options.
  void make(const std::string& options = "compat=1.1", bool compressed = false) {
    std::filesystem::remove(file_);
    std::vector<std::string> args{"convert", "-f", "raw", "-O", "qcow2", "-o", options};
    if (compressed) args.emplace_back("-c");
    args.insert(args.end(), {raw_.string(), file_.string()});
    qemu_img(args);
  }

  template <class T>
  void put(std::uint64_t at, T value) {
    std::array<std::byte, sizeof(T)> bytes{};
    put_be(std::span<std::byte>(bytes), 0, value);
    File::open_write(file_).write_at(at, bytes);
  }
  void put_text(std::uint64_t at, std::string_view text) {
    File::open_write(file_).write_at(at, std::as_bytes(std::span(text)));
  }
  std::uint64_t get(std::uint64_t at) const {
    std::array<std::byte, 8> bytes{};
    File::open_read(file_).read_at(at, bytes);
    return get_be<std::uint64_t>(bytes, 0);
  }
  std::uint64_t l1() const { return get(40); }
  /// Of the only L2 table.
  std::uint64_t l2() const { return get(l1()) & 0x00fffffffffffe00; }

  Said open() const {
    const Said opened = said([this] { format_.open(file_); });
    const Said inspected = said([this] { format_.inspect(file_); });
    EXPECT_EQ(opened.what, inspected.what);
    EXPECT_EQ(opened.evidence, inspected.evidence);
    return opened;
  }
  /// inspect() and open() both say: the file "is damaged", and this is why.
  void expect_damaged(const std::string& evidence) const { expect_said("is damaged", evidence, Failure::failed); }
  void expect_said(const std::string& what, const std::string& evidence, Failure failure) const {
    const Said e = open();
    EXPECT_EQ(e.what, file_.string() + " " + what);
    EXPECT_EQ(e.evidence, std::vector{evidence});
    EXPECT_EQ(e.failure, failure);
    EXPECT_FALSE(e.hint.empty());
  }
  void expect_equal() const { EXPECT_TRUE(same_as_raw(*format_.open(file_), raw_)); }

  TempDir dir_;
  const Format& format_ = load_format("qcow2");
  std::filesystem::path raw_ = dir_ / "small.raw", file_ = dir_ / "small.qcow2";
};

}  // namespace kiln::test
