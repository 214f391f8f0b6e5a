#pragma once
// What is recorded of shares: which account was given an image, and what it answered.

#include <optional>
#include <string>
#include <vector>

#include "catalog/database.h"
#include "catalog/lifecycle.h"

namespace kiln {

struct Share {
  enum class State { pending, accepted, rejected };
  std::string image;  ///< id
  std::string member;
  State state = State::pending;
  bool may_copy = false;  ///< into the member's own images
  Moment created;
};

std::string_view to_text(Share::State);

/// A function is one transaction. Any thread.
class ShareRecords {
 public:
  explicit ShareRecords(Database& db) : db_(db) {}

  /// Offers an image, or changes what was granted; an answer that was given before stays, but a rejection is asked
  /// again. False when the image is gone or in the trash: then nothing changes.
  bool offer(const std::string& image, const std::string& member, bool may_copy);
  void cancel(const std::string& image, const std::string& member);
  /// False when the share is gone, or its image is in the trash.
  bool answer(const std::string& image, const std::string& member, Share::State);

  std::optional<Share> find(const std::string& image, const std::string& member) const;
  std::vector<Share> of_image(const std::string& image) const;    ///< by member
  std::vector<Share> of_member(const std::string& member) const;  ///< the newest first

 private:
  Database& db_;
};

}  // namespace kiln
