#include "origin/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include <kiln/finding.h>

#include "origin/transfer.h"
#include "origin/url.h"

namespace kiln::import {
namespace {

constexpr int most_redirections = 5;

bool is_redirection(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

Error refused_redirection(const std::string& what, const std::string& from, const std::string& to) {
  return refused(what, "ask whoever gave you the URL for the one of the file itself",
                 {in_quotes(from) + " leads to " + in_quotes(to.substr(0, to.find('?')))})
      .as(code::invalid_url);
}

/// The next URL of the chain. What a server says is no command line: whatever is wrong with it is a refusal.
Url next_url(const Url& from, const std::string& to, int redirections) {
  if (redirections > most_redirections) throw refused_redirection("the URL is redirected too often", from.shown(), to);
  Url next;
  try {
    next = parse_url(to);
  } catch (const Error& error) {
    throw refused_redirection(error.what(), from.shown(), to);
  }
  if (!next.is_http()) throw refused_redirection("the URL leads away from HTTP", from.shown(), to);
  if (from.scheme == "https" && next.scheme == "http")
    throw refused_redirection("the URL leads from an encrypted connection to one that is not", from.shown(), to);
  return next;
}

}  // namespace

Answer Http::get(const Ask& ask, Receiver& receiver) const {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (ready != CURLE_OK) throw Error("libcurl cannot be used", "reinstall it", {curl_easy_strerror(ready)});
  Url url = parse_url(ask.url);
  for (int redirections = 1;; ++redirections) {
    Transfer transfer(url, ask, rule_, patience_, receiver);
    Answer answer = transfer.run(stop_);
    const std::string to = transfer.redirection();
    if (!answer.broken.empty() || to.empty() || !is_redirection(answer.status)) return answer;
    url = next_url(url, to, redirections);
  }
}

std::string proxy_for(const std::string& scheme) {
  std::string upper = scheme + "_proxy";
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  // HTTP_PROXY is what a CGI program gets from its client, so nobody believes it.
  for (const std::string& name : {scheme + "_proxy", scheme == "http" ? std::string() : upper, std::string("all_proxy"),
                                  std::string("ALL_PROXY")})
    if (const char* value = name.empty() ? nullptr : std::getenv(name.c_str()); value != nullptr) return value;
  return {};
}

}  // namespace kiln::import
