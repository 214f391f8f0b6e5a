#include <kiln/error.h>

#include <system_error>

namespace kiln {

Error::Error(const std::string& what, std::string hint, std::vector<std::string> evidence, Failure failure)
    : std::runtime_error(what), hint_(std::move(hint)), evidence_(std::move(evidence)), failure_(failure) {}

Error::~Error() = default;

Error Error::as(std::string_view code) const {
  Error named(*this);
  named.code_ = code;
  return named;
}

Error refused(const std::string& what, std::string hint, std::vector<std::string> evidence) {
  return Error(what, std::move(hint), std::move(evidence), Failure::refused);
}

Error invalid(const std::string& what, std::string hint, std::vector<std::string> evidence) {
  return Error(what, std::move(hint), std::move(evidence), Failure::invalid);
}

bool is_cancelled(const std::exception& error) noexcept {
  const auto* known = dynamic_cast<const Error*>(&error);
  return known != nullptr && known->failure() == Failure::cancelled;
}

Error cancelled() {
  return Error("cancelled", {}, {}, Failure::cancelled);
}

Error system_error(const std::string& what, int errno_value, std::string hint) {
  return Error(what + ": " + std::generic_category().message(errno_value), std::move(hint));
}

}  // namespace kiln
