#include "origin/fetch.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <random>
#include <utility>

#include <kiln/finding.h>
#include <kiln/text.h>

#include "origin/url.h"

namespace kiln::import {
namespace {

constexpr Duration first_pause{200}, longest_pause{30'000};
constexpr std::uint64_t some_progress = 1u << 20;  // after it the retries are counted anew

}  // namespace

/// Takes what arrives, from wherever the server begins.
class Fetch::Landing final : public Receiver {
 public:
  Landing(Fetch& fetch, const std::string& url) : fetch_(fetch), url_(url) {}

  void begin(const Answer& answer) override {
    if (answer.total && *answer.total > fetch_.rules_.limit)
      too_large("it has " + std::to_string(*answer.total) + " bytes");
    if (answer.status == 200) {
      fetch_.start_over();
    } else if (answer.from != fetch_.writer_->position() || (fetch_.note_.size && answer.total != fetch_.note_.size)) {
      usable_ = false;  // it goes on somewhere else
      fetch_.start_over();
      return;
    } else {
      fetch_.resumed_ = fetch_.resumed_ || answer.from != 0;
    }
    fetch_.note_.url = url_;
    fetch_.note_.validators = answer.validators;
    fetch_.note_.size = answer.total;
    fetch_.note_.boot = this_boot();
    fetch_.cache_.write_part_note(fetch_.key_, fetch_.note_);
  }

  void take(std::span<const std::byte> bytes) override {
    if (!usable_) return;
    if (bytes.size() > fetch_.rules_.limit - std::min(fetch_.rules_.limit, fetch_.writer_->position()))
      too_large("more bytes arrive");
    fetch_.digests_.update(bytes);
    fetch_.writer_->take(bytes);
  }

  void tick() override {
    const double total = fetch_.note_.size ? static_cast<double>(*fetch_.note_.size) : 0;
    const double done = fetch_.writer_ ? static_cast<double>(fetch_.writer_->position()) : 0;
    fetch_.ctx_.progress({Progress::Unit::bytes, done, total, "downloading"});
  }

  bool usable() const { return usable_; }

 private:
  [[noreturn]] void too_large(const std::string& evidence) {
    fetch_.start_over();
    throw refused(
        "the file behind the URL is larger than the " + format_bytes(fetch_.rules_.limit) + " that are allowed",
        "is it the right URL? if so, set limit", {parse_url(url_).shown() + ": " + evidence})
        .as(code::disk_too_large);
  }

  Fetch& fetch_;
  const std::string& url_;
  bool usable_ = true;
};

Fetch::Fetch(Context& ctx, const Http& http, const DownloadCache& cache, std::string key, Part& part, FetchRules rules,
             bool sha512)
    : ctx_(ctx), http_(http), cache_(cache), key_(std::move(key)), part_(part), rules_(rules), digests_(sha512) {}

void Fetch::start_over() {
  digests_.finish();
  part_.file().truncate(0);
  writer_.emplace(part_.file(), 0);
  note_ = {};
  resumed_ = false;
}

/// Goes on with what is there when it can only be of the same file; what was not synced before the host went down
/// may read as zeros, so then only a digest helps.
void Fetch::take_up(const std::string& url) {
  if (!writer_) {
    const std::uint64_t have = part_.file().size();
    const std::optional<Note> note = cache_.part_note(key_);
    if (have == 0 || have > rules_.limit || !note || (note->boot != this_boot() && !rules_.by_digest))
      return start_over();
    note_ = *note;
    writer_.emplace(part_.file(), have);
    std::vector<std::byte> buffer(1u << 20);
    for (std::uint64_t at = 0; at < have;) {
      const auto piece = std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), have - at));
      part_.file().read_at(at, piece);
      digests_.update(piece);
      at += piece.size();
      ctx_.progress({Progress::Unit::bytes, static_cast<double>(at), static_cast<double>(have), "going on"});
    }
    resumed_ = true;
  }
  const bool same = note_.url == url && !note_.validators.empty();
  if (writer_->position() != 0 && !same && !rules_.by_digest) start_over();
}

Fetch::Attempt Fetch::attempt(const std::string& url, const Validators& known) {
  take_up(url);
  Ask ask{.url = url, .from = writer_->position(), .known = writer_->position() == 0 ? known : Validators{}};
  if (note_.url == url) ask.same = note_.validators;
  Landing landing(*this, url);
  Attempt made;
  try {
    made.answer = http_.get(ask, landing);
  } catch (...) {
    writer_->flush();  // what has arrived stays for the next time
    throw;
  }
  writer_->flush();
  const Answer& answer = made.answer;
  const std::uint64_t have = writer_->position();
  const bool all_there = answer.status == 416 && have != 0 && answer.total == have;
  made.arrived = answer.broken.empty() && (answer.status == 200 || answer.status == 206) && landing.usable();
  made.complete = (all_there || made.arrived) && have == note_.size.value_or(have);
  made.unchanged = answer.broken.empty() && answer.status == 304 && !known.empty();
  made.of_another = !made.complete && (answer.status == 416 || !landing.usable());
  return made;
}

Fetched Fetch::from(const std::string& url, const Validators& known) {
  std::uint64_t progress = 0;
  bool anew = false;
  for (int failures = 0;;) {
    const Attempt made = attempt(url, known);
    const std::uint64_t have = writer_->position();
    if (made.unchanged) return {.how = Fetched::How::unchanged};
    if (made.complete) {
      note_.size = have;
      note_.digests = digests_.finish();
      return {.how = Fetched::How::complete, .note = note_, .resumed = resumed_};
    }
    const Fetched why = failed(made.answer);
    if (made.of_another) {
      start_over();
      if (!std::exchange(anew, true)) continue;
    }
    if (have > progress + some_progress) {
      progress = have;
      failures = 0;
    }
    if ((!made.answer.passing && !made.arrived && !made.of_another) || ++failures > rules_.retries) return why;
    ctx_.log("tried in vain: " + why.why);
    pause(failures, made.answer);
  }
}

Fetched Fetch::failed(const Answer& answer) const {
  const std::uint64_t have = writer_->position();
  if (have != 0 && note_.size && have < *note_.size)
    return {.why = "it ends at byte " + std::to_string(have) + " of " + std::to_string(*note_.size) + ": " +
                   (answer.broken.empty() ? "the server answers " + std::to_string(answer.status)
                                          : printable(answer.broken, 200)),
            .cut = true};
  if (answer.broken.empty() && answer.status != 200 && answer.status != 206)
    return {.why = "the server answers " + std::to_string(answer.status)};
  return {.why = printable(answer.broken.empty() ? "it is not complete" : answer.broken, 200)};
}

/// Twice as long each time, and not in step with whoever else has failed just now.
void Fetch::pause(int failures, const Answer& answer) {
  static thread_local std::mt19937_64 random{std::random_device{}()};
  const Duration full = std::min(longest_pause, first_pause * (1 << std::min(failures - 1, 10)));
  const Duration some{std::uniform_int_distribution<Duration::rep>(full.count() / 2, full.count())(random)};
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, ctx_.stop(), std::max(some, answer.retry_after), [] { return false; });
  if (ctx_.stop().stop_requested()) throw cancelled();
}

}  // namespace kiln::import
