#include "origin/download.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <thread>
#include <utility>

#include <kiln/finding.h>
#include <kiln/text.h>

#include "origin/fetch.h"
#include "origin/url.h"

namespace kiln::import {
namespace {

constexpr Duration short_patience{5000};

std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string to_iso(std::int64_t seconds) {
  std::array<char, 32> text{};
  std::tm utc{};
  const std::time_t when = seconds;
  ::gmtime_r(&when, &utc);
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

std::int64_t from_iso(const std::string& text) {
  std::tm utc{};
  return ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &utc) != nullptr ? ::timegm(&utc) : 0;
}

bool is_young(std::int64_t checked, Duration ttl) {
  const std::int64_t age = now() - checked;
  return age >= 0 && std::chrono::seconds(age) < ttl;
}

std::string fact(const Facts& facts, std::string_view name) {
  const auto it = facts.find(name);
  return it != facts.end() ? it->second : std::string();
}

/// Of a server that is asked whether something changed.
class Nobody final : public Receiver {
 public:
  void begin(const Answer&) override {}
  void take(std::span<const std::byte>) override {}
};

}  // namespace

Downloads::Downloads(Context& ctx, const Params& params)
    : ctx_(ctx), params_(params), rule_(params.allow), cache_(ctx.cache() / "downloads") {}

Part Downloads::take_part(const std::string& key, const std::string& name) {
  for (;;) {
    if (auto part = Part::try_take(cache_.part(key))) return std::move(*part);
    ctx_.progress({Progress::Unit::fraction, 0, 0, "waiting: another kiln downloads " + name});
    if (ctx_.stop().stop_requested()) throw cancelled();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

bool Downloads::will_do(const Note& note, const Wanted& wanted) const {
  if (params_.refresh == "always") return false;
  return params_.refresh == "never" || !wanted.expected.empty() || is_young(note.checked, params_.ttl);
}

std::optional<Note> Downloads::fetch(Fetch& fetch, const Wanted& wanted, const std::optional<Note>& known) const {
  const std::string name = parse_url(wanted.urls.front()).file_name();
  std::vector<std::string> evidence;
  std::optional<Error> wrong;
  bool cut = false, again = false;
  for (const std::string& url : wanted.urls) {
    const bool ask = known && params_.refresh == "changed" && known->url == url;
    for (bool once_more = true; std::exchange(once_more, false);) {
      const Fetched got = fetch.from(url, ask ? known->validators : Validators{});
      if (got.how == Fetched::How::unchanged) return std::nullopt;
      if (got.how == Fetched::How::failed) {
        evidence.push_back(parse_url(url).shown() + ": " + got.why);
        cut = cut || got.cut;
        break;
      }
      try {
        require(wanted.expected, got.note.digests, name);
        return got.note;
      } catch (const Error& error) {
        fetch.start_over();
        // What was resumed may have been of two versions.
        once_more = got.resumed && !again;
        again = again || once_more;
        if (!once_more) wrong = error;
      }
    }
  }
  if (wrong) throw Error(*wrong);
  const Error none(name + " cannot be downloaded",
                   known ? "refresh = \"never\" takes the copy of " + to_iso(known->checked)
                         : "is the URL right, and the server up? what has arrived is kept: the next run goes on there",
                   evidence);
  throw cut ? none.as(code::truncated) : none;
}

Downloaded Downloads::get(const Wanted& wanted) {
  const std::string key = DownloadCache::key(wanted.urls.front(), wanted.expected);
  Part part = take_part(key, parse_url(wanted.urls.front()).file_name());
  std::optional<Note> known = cache_.find(key);
  if (known && !wanted.expected.sha512.empty() && known->digests.sha512.empty()) known.reset();
  if (known && will_do(*known, wanted)) {
    cache_.discard(key);
    require(wanted.expected, known->digests, parse_url(known->url).file_name());
    return {cache_.open(*known), *known};
  }
  const Http http(rule_, params_.patience, ctx_.stop());
  Fetch fetch(ctx_, http, cache_, key, part, {wanted.limit, params_.retries, !wanted.expected.empty()},
              !wanted.expected.sha512.empty());
  try {
    if (auto got = this->fetch(fetch, wanted, known)) {
      got->checked = now();
      cache_.finish(key, part, *got);
      return {cache_.open(*got), *got};
    }
  } catch (...) {
    if (part.file().size() == 0) cache_.discard(key);
    throw;
  }
  known->checked = now();
  cache_.write(key, *known);
  cache_.discard(key);
  return {cache_.open(*known), *known};
}

bool is_unchanged(const Params& params, const Facts& made) {
  if (params.refresh == "always") return false;
  const bool expected = !params.sha256.empty() || !params.sha512.empty();
  if (expected || params.refresh == "never" || is_young(from_iso(fact(made, "source.fetched")), params.ttl))
    return true;
  const Validators known{fact(made, "source.etag"), fact(made, "source.modified")};
  if (known.empty()) return false;
  std::vector<std::string> urls{params.url};
  urls.insert(urls.end(), params.mirrors.begin(), params.mirrors.end());
  for (const std::string& url : urls) {
    if (parse_url(url).shown() != fact(made, "source.url")) continue;
    const AddressRule rule(params.allow);
    Nobody nobody;
    const Answer answer = Http(rule, std::min(params.patience, short_patience), {})
                              .get({.url = url, .known = known, .header_only = true}, nobody);
    return answer.broken.empty() && (answer.status == 304 || (answer.status == 200 && answer.validators == known));
  }
  return false;
}

void note_origin(Facts& facts, const Note& note) {
  facts["source.url"] = parse_url(note.url).shown();
  facts["source.fetched"] = to_iso(note.checked);
  if (!note.validators.etag.empty()) facts["source.etag"] = printable(note.validators.etag, 200);
  if (!note.validators.modified.empty()) facts["source.modified"] = printable(note.validators.modified, 200);
  facts["source.sha256"] = note.digests.sha256;
  if (!note.digests.sha512.empty()) facts["source.sha512"] = note.digests.sha512;
}

}  // namespace kiln::import
