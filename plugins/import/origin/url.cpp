#include "origin/url.h"

#include <curl/curl.h>

#include <memory>
#include <string_view>

#include <kiln/finding.h>
#include <kiln/text.h>

namespace kiln::import {
namespace {

/// It has no host, which libcurl does not take for a URL.
constexpr std::string_view unix_begin = "nbd+unix:///";

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Handle = std::unique_ptr<CURLU, FreeUrl>;

std::string part(CURLU* url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, flags) != CURLUE_OK) return {};
  const std::unique_ptr<char, void (*)(void*)> owned(text, &curl_free);
  return text;
}

Error wrong(const std::string& text, const std::string& why) {
  return invalid(in_quotes(text.substr(0, text.find('?'))) + " " + why,
                 "write https://host/path, http://…, nbd://host/export or nbd+unix:///export?socket=PATH")
      .as(code::invalid_url);
}

std::string default_port(const std::string& scheme) {
  if (scheme == "https") return "443";
  return scheme == "http" ? "80" : "10809";  // of NBD: IANA
}

}  // namespace

std::string Url::shown() const {
  const std::string whole = text.substr(0, text.find_first_of("?#"));
  return scheme == "nbd+unix" && !query.empty() ? whole + "?" + query : whole;
}

std::string Url::file_name() const {
  const std::size_t end = path.find_last_not_of('/');
  if (end == std::string::npos) return printable(host);
  const std::size_t slash = path.find_last_of('/', end);
  return printable(path.substr(slash + 1, end - slash), 200);
}

Url parse_url(const std::string& text) {
  const Handle handle(curl_url());
  if (!handle) throw std::bad_alloc();
  const bool is_unix = text.starts_with(unix_begin);
  const std::string whole = is_unix ? "nbd+unix://unix/" + text.substr(unix_begin.size()) : text;
  const CURLUcode code = curl_url_set(handle.get(), CURLUPART_URL, whole.c_str(), CURLU_NON_SUPPORT_SCHEME);
  if (code != CURLUE_OK) throw wrong(text, std::string("is not a URL: ") + curl_url_strerror(code));
  Url url;
  url.text = text;
  url.scheme = part(handle.get(), CURLUPART_SCHEME);
  if (!url.is_http() && !url.is_nbd()) throw wrong(text, "is a kind of URL that is not fetched");
  // A pipeline is kept, shown and shared: no place for a password.
  if (!part(handle.get(), CURLUPART_USER).empty() || !part(handle.get(), CURLUPART_PASSWORD).empty())
    throw wrong(url.scheme + "://…", "has a name or a password in it");
  url.host = part(handle.get(), CURLUPART_HOST);
  if (url.host.empty() || is_unix != (url.scheme == "nbd+unix")) throw wrong(text, "names no host, or one too many");
  url.port = part(handle.get(), CURLUPART_PORT);
  if (url.port.empty()) url.port = default_port(url.scheme);
  url.path = part(handle.get(), CURLUPART_PATH, CURLU_URLDECODE);
  if (url.path.empty()) url.path = part(handle.get(), CURLUPART_PATH);  // what cannot be decoded has control characters
  url.query = part(handle.get(), CURLUPART_QUERY);
  return url;
}

Url parse_proxy(const std::string& text) {
  const Handle handle(curl_url());
  if (!handle) throw std::bad_alloc();
  if (curl_url_set(handle.get(), CURLUPART_URL, text.c_str(), CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME) !=
      CURLUE_OK)
    throw invalid("the proxy that the environment names is none", "see the variables https_proxy and all_proxy");
  Url url;
  url.scheme = part(handle.get(), CURLUPART_SCHEME);
  url.host = part(handle.get(), CURLUPART_HOST);
  url.port = part(handle.get(), CURLUPART_PORT);
  if (url.port.empty()) url.port = url.scheme == "https" ? "443" : "1080";  // as libcurl takes it
  return url;
}

bool looks_like_url(const std::string& text) {
  return text.find("://") != std::string::npos && text.find("://") < text.find('/');
}

}  // namespace kiln::import
