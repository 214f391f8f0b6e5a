#include "origin/transfer.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include <kiln/finding.h>
#include <kiln/text.h>

namespace kiln::import {
namespace {

constexpr std::size_t most_header_bytes = 256u << 10;
constexpr std::size_t most_of_a_refusal = 64u << 10;  // of the body of an answer that says no
constexpr std::int64_t least_speed = 1024;            // bytes in a second
constexpr Duration longest_connecting{10'000};
constexpr int pulse = 100;  // milliseconds

/// What may pass when one waits.
bool is_passing(CURLcode code) {
  static constexpr CURLcode passing[] = {
      CURLE_COULDNT_CONNECT, CURLE_OPERATION_TIMEDOUT,  CURLE_GOT_NOTHING, CURLE_SEND_ERROR,
      CURLE_RECV_ERROR,      CURLE_PARTIAL_FILE,        CURLE_HTTP2,       CURLE_SSL_CONNECT_ERROR,
      CURLE_HTTP2_STREAM,    CURLE_COULDNT_RESOLVE_HOST};
  return std::find(std::begin(passing), std::end(passing), code) != std::end(passing);
}

bool is_passing(long status) {
  return status >= 500 || status == 408 || status == 425 || status == 429;
}

template <class T>
void set(CURL* handle, CURLoption option, T value) {
  const CURLcode code = curl_easy_setopt(handle, option, value);
  if (code != CURLE_OK) throw Error("libcurl cannot do what is needed", "reinstall it", {curl_easy_strerror(code)});
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "bytes 100-199/1000", "bytes */1000" (RFC 9110, section 14.4).
void read_content_range(std::string_view text, Answer& answer) {
  if (!text.starts_with("bytes ")) return;
  text.remove_prefix(6);
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return;
  answer.total = number(text.substr(slash + 1));
  answer.from = number(text.substr(0, std::min(slash, text.find('-')))).value_or(0);
}

}  // namespace

Transfer::Transfer(const Url& url, const Ask& ask, const AddressRule& rule, Duration patience, Receiver& receiver)
    : url_(url),
      rule_(rule),
      patience_(patience),
      receiver_(receiver),
      header_only_(ask.header_only),
      easy_(curl_easy_init()),
      multi_(curl_multi_init()) {
  if (!easy_ || !multi_) throw std::bad_alloc();
  choose_proxy();
  set_up(ask);
  ask_for(ask);
}

Transfer::~Transfer() {
  curl_multi_remove_handle(multi_.get(), easy_.get());
}

/// Its own address may be a private one: somebody of this host has named it. What it connects to for us can be checked
/// only when this host knows the name, too.
void Transfer::choose_proxy() {
  const std::string proxy = proxy_for(url_.scheme);
  if (proxy.empty()) return;
  const Url at = parse_proxy(proxy);
  for (const Resolved& one : resolve(at.host, at.port))
    if (const auto address = address_of(reinterpret_cast<const sockaddr&>(one.address))) proxies_.push_back(*address);
  std::vector<Resolved> targets;
  try {
    targets = resolve(url_.host, url_.port);
  } catch (const Error&) {
    return;
  }
  for (const Resolved& one : targets)
    if (const auto address = address_of(reinterpret_cast<const sockaddr&>(one.address)))
      rule_.require(*address, url_.host);
}

void Transfer::set_up(const Ask& ask) {
  CURL* const h = easy_.get();
  set(h, CURLOPT_URL, url_.text.c_str());
  set(h, CURLOPT_PROTOCOLS_STR, "http,https");
  set(h, CURLOPT_FOLLOWLOCATION, 0L);
  set(h, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(h, CURLOPT_USERAGENT, "kiln");
  set(h, CURLOPT_NOSIGNAL, 1L);
  set(h, CURLOPT_QUICK_EXIT, 1L);  // a name server that is silent is not waited for
  set(h, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::min(patience_, longest_connecting).count()));
  set(h, CURLOPT_BUFFERSIZE, 256L << 10);
  if (const char* roots = std::getenv("SSL_CERT_FILE"); roots != nullptr && *roots != '\0')
    set(h, CURLOPT_CAINFO, roots);
  set(h, CURLOPT_WRITEDATA, this);
  set(
      h, CURLOPT_WRITEFUNCTION, +[](char* data, std::size_t, std::size_t size, void* self) -> std::size_t {
        Transfer& transfer = *static_cast<Transfer*>(self);
        return transfer.guarded(size, [&] { transfer.take_body(std::as_bytes(std::span(data, size))); });
      });
  set(h, CURLOPT_HEADERDATA, this);
  set(
      h, CURLOPT_HEADERFUNCTION, +[](char*, std::size_t, std::size_t size, void* self) -> std::size_t {
        Transfer& transfer = *static_cast<Transfer*>(self);
        return (transfer.header_bytes_ += size) <= most_header_bytes ? size : 0;
      });
  set(h, CURLOPT_OPENSOCKETDATA, this);
  set(
      h, CURLOPT_OPENSOCKETFUNCTION, +[](void* self, curlsocktype, curl_sockaddr* address) -> curl_socket_t {
        curl_socket_t made = CURL_SOCKET_BAD;
        Transfer& transfer = *static_cast<Transfer*>(self);
        transfer.guarded(1, [&] { made = transfer.connect_to(*address); });
        return made;
      });
  if (!ask.known.etag.empty()) add_header("If-None-Match: " + ask.known.etag);
  if (!ask.known.modified.empty()) add_header("If-Modified-Since: " + ask.known.modified);
}

void Transfer::ask_for(const Ask& ask) {
  if (ask.from != 0) {
    set(easy_.get(), CURLOPT_RANGE, (std::to_string(ask.from) + "-").c_str());
    // A weak validator cannot say that the bytes are the same (RFC 9110, section 13.1.5).
    if (!ask.same.etag.empty() && !ask.same.etag.starts_with("W/"))
      add_header("If-Range: " + ask.same.etag);
    else if (!ask.same.modified.empty())
      add_header("If-Range: " + ask.same.modified);
  }
  if (headers_) set(easy_.get(), CURLOPT_HTTPHEADER, headers_.get());
}

void Transfer::add_header(const std::string& line) {
  curl_slist* longer = curl_slist_append(headers_.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  (void)headers_.release();
  headers_.reset(longer);
}

template <class F>
std::size_t Transfer::guarded(std::size_t wanted, F&& f) noexcept {
  try {
    f();
    return enough_ ? 0 : wanted;
  } catch (...) {
    thrown_ = std::current_exception();
    return 0;
  }
}

void Transfer::take_body(std::span<const std::byte> bytes) {
  received_ += bytes.size();
  const Answer head = answer();
  if (head.status != 200 && head.status != 206) {
    enough_ = received_ > most_of_a_refusal;
    return;
  }
  if (header_only_) {
    enough_ = true;
    return;
  }
  if (!begun_) receiver_.begin(head);
  begun_ = true;
  receiver_.take(bytes);
}

curl_socket_t Transfer::connect_to(const curl_sockaddr& to) {
  const auto address = address_of(to.addr);
  if (!address) return CURL_SOCKET_BAD;
  if (std::find(proxies_.begin(), proxies_.end(), *address) == proxies_.end()) {
    try {
      rule_.require(*address, url_.host);
    } catch (const Error&) {  // the name may have another address
      against_ = std::current_exception();
      return CURL_SOCKET_BAD;
    }
  }
  return ::socket(to.family, to.socktype | SOCK_CLOEXEC, to.protocol);
}

bool Transfer::is_too_slow() {
  const auto now = Clock::now();
  if (now - window_ < patience_) return false;
  const std::uint64_t got = received_ - received_before_;
  window_ = now;
  received_before_ = received_;
  return got < static_cast<std::uint64_t>(patience_.count() * least_speed / 1000);
}

std::string Transfer::header(const char* name) const {
  curl_header* found = nullptr;
  if (curl_easy_header(easy_.get(), name, 0, CURLH_HEADER, -1, &found) != CURLHE_OK) return {};
  const std::string value = found->value;
  return value.size() <= 512 ? value : std::string();
}

Answer Transfer::answer() const {
  Answer answer;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &answer.status);
  answer.url = url_.text;
  answer.validators = {header("ETag"), header("Last-Modified")};
  curl_off_t length = -1;
  if (answer.status == 200 && curl_easy_getinfo(easy_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length) == CURLE_OK &&
      length >= 0)
    answer.total = static_cast<std::uint64_t>(length);
  if (answer.status == 206 || answer.status == 416) read_content_range(header("Content-Range"), answer);
  return answer;
}

Answer Transfer::run(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] { curl_multi_wakeup(multi_.get()); });
  curl_multi_add_handle(multi_.get(), easy_.get());
  window_ = Clock::now();
  for (int running = 1;;) {
    if (stop.stop_requested()) throw cancelled();
    curl_multi_perform(multi_.get(), &running);
    if (thrown_) std::rethrow_exception(thrown_);
    if (running == 0) break;
    receiver_.tick();
    if (is_too_slow()) {
      Answer slow = answer();
      slow.broken = "the server was silent, or slower than 1 KiB/s, for " + format_duration(patience_);
      slow.passing = true;
      return slow;
    }
    curl_multi_poll(multi_.get(), nullptr, 0, pulse, nullptr);
  }
  int left = 0;
  const CURLMsg* message = curl_multi_info_read(multi_.get(), &left);
  return finished(message != nullptr ? message->data.result : CURLE_FAILED_INIT);
}

Answer Transfer::finished(CURLcode code) {
  Answer result = answer();
  if (enough_) code = CURLE_OK;
  if (code == CURLE_OK) {
    const bool good = result.status == 200 || result.status == 206;
    if (good && !begun_ && !header_only_) receiver_.begin(result);  // an empty body
    result.passing = is_passing(result.status);
    curl_off_t wait = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_RETRY_AFTER, &wait);
    result.retry_after = std::chrono::seconds(std::clamp<curl_off_t>(wait, 0, 60));
    return result;
  }
  if (against_ && received_ == 0 && result.status == 0) std::rethrow_exception(against_);
  result.broken = header_bytes_ > most_header_bytes ? "its headers are too long" : curl_easy_strerror(code);
  result.passing = header_bytes_ <= most_header_bytes && is_passing(code);
  return result;
}

std::string Transfer::redirection() const {
  char* to = nullptr;
  curl_easy_getinfo(easy_.get(), CURLINFO_REDIRECT_URL, &to);
  return to != nullptr ? to : "";
}

}  // namespace kiln::import
