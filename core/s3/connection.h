#pragma once
// Signed HTTP requests over connections that are kept. The only place that knows libcurl.

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <kiln/error.h>

namespace kiln::s3 {

struct Credentials {
  std::string region, access_key, secret_key;
};

struct Request {
  std::string method, url;
  std::span<const std::byte> body = {};
  bool only_new = false;         ///< only when there is no such object: If-None-Match
  std::size_t answer_limit = 0;  ///< bytes of an answer that says yes
};

struct Answer {
  long status = 0;
  std::vector<std::byte> body;
};

/// Any thread.
class Connections {
 public:
  explicit Connections(Credentials);
  Connections(Connections&&) noexcept;
  ~Connections();

  /// Any answer of the server, also one that says no. What can be hoped to pass, a timeout or a status of 500 and more,
  /// is tried again. Throws Error when there was no answer at all, or one that is too long.
  Answer perform(const Request&) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kiln::s3
