#include "s3/bucket.h"

#include <pugixml.hpp>

#include "s3/connection.h"

namespace kiln::s3 {
namespace {

constexpr std::size_t answer_limit = 4 << 20;  // of a listing of 1000 keys, or of an error

bool is_loopback(std::string_view host) {
  if (host.starts_with("[::1]")) return true;
  host = host.substr(0, host.find(':'));
  return host == "localhost" || host == "127.0.0.1";
}

/// Without a slash at its end.
std::string checked_url(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  const bool tls = url.starts_with("https://"), plain = url.starts_with("http://");
  const std::string rest = tls || plain ? url.substr(url.find("//") + 2) : "";
  const std::size_t slash = rest.find('/');
  if (slash == 0 || slash == std::string::npos || rest.find('/', slash + 1) != std::string::npos ||
      rest.find_first_of("?#@ ") != std::string::npos)
    throw invalid("\"" + url + "\" is not the address of a bucket", "write it as https://host/bucket");
  if (plain && !is_loopback(rest))
    throw invalid("the address of bucket " + url + " is not encrypted", "write https:// instead of http://");
  return url;
}

struct Said {
  std::string code, message;
};

/// What the body of an error says.
Said said_in(std::span<const std::byte> body) {
  pugi::xml_document document;
  if (!document.load_buffer(body.data(), body.size())) return {};
  const pugi::xml_node error = document.child("Error");
  return {error.child_value("Code"), error.child_value("Message")};
}

/// "2026-11-22T20:00:00.123Z" without the part of a second, so that the order of the texts is that of time.
std::string moment_in(const std::string& text) {
  return text.size() < 19 ? text : text.substr(0, 19) + "Z";
}

/// As a part of a query, in the way in which it is signed: others may have put keys of any kind into the bucket.
std::string escaped(const std::string& text) {
  static constexpr char digits[] = "0123456789ABCDEF";
  constexpr std::string_view plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (plain.find(c) != std::string_view::npos)
      out += c;
    else
      ((out += '%') += digits[byte >> 4]) += digits[byte & 15];
  }
  return out;
}

}  // namespace

struct Bucket::State {
  explicit State(BucketPlace given)
      : place(std::move(given)), connections({place.region, place.access_key, place.secret_key}) {}
  BucketPlace place;
  Connections connections;

  /// `what`: "GET chunks/…", for errors.
  Error failure(const std::string& what, const Answer& answer) const {
    const Said said = said_in(answer.body);
    std::vector<std::string> evidence{what + ": " + std::to_string(answer.status) + " " + said.code};
    if (!said.message.empty()) evidence.push_back(said.message);
    if (said.code == "NoSuchBucket")
      return Error("there is no bucket " + place.url, "make it first, with the tools of the object store", evidence);
    if (answer.status == 401 || answer.status == 403)
      return refused("the object store refuses access to bucket " + place.url,
                     "are the access key and the secret key right, and may that account use the bucket?", evidence);
    if (answer.status >= 300 && answer.status < 400)
      return Error("bucket " + place.url + " is elsewhere: the object store answers with a redirection",
                   "redirections are not followed; give the address and the region where the bucket is", evidence);
    return Error("the object store could not serve bucket " + place.url, "try again later; what is there stays there",
                 evidence);
  }
};

Bucket::Bucket(BucketPlace place) {
  place.url = checked_url(std::move(place.url));
  if (place.access_key.empty() || place.secret_key.empty())
    throw invalid("there is no access key or no secret key for bucket " + place.url,
                  "set access_key and secret_key_file of the region, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
  state_ = std::make_unique<State>(std::move(place));
}

Bucket::~Bucket() = default;

const std::string& Bucket::url() const noexcept {
  return state_->place.url;
}

std::optional<std::vector<std::byte>> Bucket::get(const std::string& key, std::size_t limit) const {
  Answer answer = state_->connections.perform({.method = "GET", .url = url() + "/" + key, .answer_limit = limit});
  if (answer.status == 200) return std::move(answer.body);
  if (answer.status == 404 && said_in(answer.body).code != "NoSuchBucket") return std::nullopt;
  throw state_->failure("GET " + key, answer);
}

void Bucket::put(const std::string& key, std::span<const std::byte> body) const {
  const Answer answer = state_->connections.perform(
      {.method = "PUT", .url = url() + "/" + key, .body = body, .answer_limit = answer_limit});
  if (answer.status != 200) throw state_->failure("PUT " + key, answer);
}

bool Bucket::put_new(const std::string& key, std::span<const std::byte> body) const {
  const Answer answer = state_->connections.perform(
      {.method = "PUT", .url = url() + "/" + key, .body = body, .only_new = true, .answer_limit = answer_limit});
  if (answer.status == 412) return false;
  if (answer.status != 200) throw state_->failure("PUT " + key, answer);
  return true;
}

void Bucket::remove(const std::string& key) const {
  const Answer answer =
      state_->connections.perform({.method = "DELETE", .url = url() + "/" + key, .answer_limit = answer_limit});
  if (answer.status != 200 && answer.status != 204 && answer.status != 404)
    throw state_->failure("DELETE " + key, answer);
}

std::vector<Listed> Bucket::list_objects(const std::string& prefix) const {
  std::vector<Listed> objects;
  for (bool more = true; more;) {
    // The parts of the query are in the order in which they are signed.
    const std::string query = "list-type=2&prefix=" + escaped(prefix) +
                              (objects.empty() ? std::string() : "&start-after=" + escaped(objects.back().key));
    const Answer answer =
        state_->connections.perform({.method = "GET", .url = url() + "/?" + query, .answer_limit = answer_limit});
    if (answer.status != 200) throw state_->failure("list " + prefix, answer);
    pugi::xml_document document;
    const pugi::xml_parse_result parsed = document.load_buffer(answer.body.data(), answer.body.size());
    const pugi::xml_node result = document.child("ListBucketResult");
    if (!parsed || !result)
      throw Error("the object store's listing of bucket " + url() + " cannot be read",
                  "is this the address of a bucket?", {"list " + prefix + ": " + parsed.description()});
    const std::size_t before = objects.size();
    for (const pugi::xml_node entry : result.children("Contents"))
      objects.push_back({entry.child_value("Key"), entry.child("Size").text().as_ullong(),
                         moment_in(entry.child_value("LastModified"))});
    more = std::string_view(result.child_value("IsTruncated")) == "true" && objects.size() > before;
  }
  return objects;
}

std::vector<std::string> Bucket::list(const std::string& prefix) const {
  std::vector<std::string> keys;
  for (Listed& object : list_objects(prefix)) keys.push_back(std::move(object.key));
  return keys;
}

}  // namespace kiln::s3
