#include "s3/connection.h"

#include <curl/curl.h>

#include <chrono>
#include <mutex>
#include <thread>

#include <kiln/hash.h>

namespace kiln::s3 {
namespace {

constexpr std::size_t refusal_limit = 64 * 1024;  // an answer that says no, and why
constexpr int tries = 6;
constexpr std::chrono::milliseconds first_pause{200};

struct FreeHandle {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Handle = std::unique_ptr<CURL, FreeHandle>;
using Headers = std::unique_ptr<curl_slist, FreeList>;

struct Receiver {
  CURL* handle;
  Answer answer = {};
  std::size_t limit = 0;
  bool too_long = false;
};

std::size_t receive(char* data, std::size_t, std::size_t size, void* user) {
  auto& receiver = *static_cast<Receiver*>(user);
  long status = 0;
  curl_easy_getinfo(receiver.handle, CURLINFO_RESPONSE_CODE, &status);
  const std::size_t limit = status == 200 ? receiver.limit : refusal_limit;
  if (receiver.answer.body.size() + size > limit) {
    receiver.too_long = true;
    return 0;
  }
  const auto bytes = std::as_bytes(std::span(data, size));
  receiver.answer.body.insert(receiver.answer.body.end(), bytes.begin(), bytes.end());
  return size;
}

void add(Headers& headers, const std::string& line) {
  curl_slist* longer = curl_slist_append(headers.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  (void)headers.release();
  headers.reset(longer);
}

Headers headers_of(const Request& request) {
  Headers headers;
  // libcurl 7.88 signs without the body's digest unless it is given, and servers refuse that.
  add(headers, "x-amz-content-sha256: " + to_hex(sha256(request.body)));
  add(headers, "Content-Type: application/octet-stream");
  if (request.only_new) add(headers, "If-None-Match: *");
  return headers;
}

/// What may pass when one waits.
bool is_passing(CURLcode code) {
  return code == CURLE_COULDNT_CONNECT || code == CURLE_OPERATION_TIMEDOUT || code == CURLE_GOT_NOTHING ||
         code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR || code == CURLE_PARTIAL_FILE ||
         code == CURLE_COULDNT_RESOLVE_HOST;
}

bool is_passing(long status) {
  return status >= 500 || status == 429;
}

}  // namespace

struct Connections::State {
  explicit State(Credentials given) : credentials(std::move(given)) {
    signature = "aws:amz:" + credentials.region + ":s3";
    static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (ready != CURLE_OK) throw Error("libcurl cannot be used", "reinstall it", {curl_easy_strerror(ready)});
  }

  Handle take() {
    const std::lock_guard lock(mutex);
    if (idle.empty()) return Handle(curl_easy_init());
    Handle handle = std::move(idle.back());
    idle.pop_back();
    return handle;
  }

  void give_back(Handle handle) {
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(handle));
  }

  void prepare(CURL* handle, const Request& request, const Headers& headers, Receiver& receiver) const {
    curl_easy_reset(handle);  // what is set, not the connection
    curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    if (request.method == "PUT") {
      curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
      curl_easy_setopt(handle, CURLOPT_POSTFIELDS,
                       request.body.empty() ? static_cast<const void*>("") : request.body.data());
    }
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(handle, CURLOPT_AWS_SIGV4, signature.c_str());
    curl_easy_setopt(handle, CURLOPT_USERNAME, credentials.access_key.c_str());
    curl_easy_setopt(handle, CURLOPT_PASSWORD, credentials.secret_key.c_str());
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, 10L);
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, 30L);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &receiver);
  }

  Credentials credentials;
  std::string signature;
  std::mutex mutex;
  std::vector<Handle> idle;
};

Connections::Connections(Credentials credentials) : state_(std::make_unique<State>(std::move(credentials))) {}
Connections::Connections(Connections&&) noexcept = default;
Connections::~Connections() = default;

Answer Connections::perform(const Request& request) const {
  const Headers headers = headers_of(request);
  for (int attempt = 1;; ++attempt) {
    Handle handle = state_->take();
    if (!handle) throw std::bad_alloc();
    Receiver receiver{.handle = handle.get(), .limit = request.answer_limit};
    state_->prepare(handle.get(), request, headers, receiver);
    const CURLcode code = curl_easy_perform(handle.get());
    curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &receiver.answer.status);
    const bool passing = code == CURLE_OK ? is_passing(receiver.answer.status) : is_passing(code);
    if (code == CURLE_OK) state_->give_back(std::move(handle));
    if (code == CURLE_OK && (!passing || attempt == tries)) return std::move(receiver.answer);
    if (receiver.too_long)
      throw Error("the answer of " + request.url + " is longer than it may be", "is this the address of a bucket?",
                  {"more than " + std::to_string(request.answer_limit) + " bytes"});
    if (!passing || attempt == tries)
      throw Error("cannot reach " + request.url, "is the address right, and the host up?", {curl_easy_strerror(code)});
    std::this_thread::sleep_for(first_pause * (1 << (attempt - 1)));
  }
}

}  // namespace kiln::s3
