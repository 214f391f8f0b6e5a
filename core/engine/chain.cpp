#include "engine/chain.h"

#include <algorithm>
#include <charconv>

#include <kiln/file.h>
#include <kiln/hash.h>

#include "engine/guarded.h"

namespace kiln::engine {
namespace {

namespace fs = std::filesystem;

/// A sink takes more than the disk: what the source says of the machine, and its other parts.
std::string before_sink(const std::string& position, const Facts& source, const std::string& parts) {
  std::string beside = parts;
  for (const auto& [name, value] : source)
    if (name.starts_with("machine.")) beside += name + '=' + value + '\n';
  return beside.empty() ? position : to_hex(sha256("kiln-beside\n" + position + '\n' + beside));
}

class ChainMaker {
 public:
  ChainMaker(const Pipeline& pipeline, const Home& home, const Layers& layers, Catalog& catalog,
             const ChainOptions& options)
      : pipeline_(pipeline),
        home_(home),
        layers_(layers),
        catalog_(catalog),
        options_(options),
        inputs_(home.inputs()) {}

  std::vector<Link> make() {
    for (const Step& step : pipeline_.steps) {
      Link link;
      link.last = read_record(home_.last(pipeline_.name, step.number));
      if (step.number == 1) {
        source(step, link);
      } else if (!position_) {
        link.why = "follows 1";
      } else {
        later(step, link);
      }
      if (position_) link.position = *position_;
      links_.push_back(std::move(link));
    }
    read_again_if_needed();
    inputs_.save();
    return std::move(links_);
  }

 private:
  bool again(const Step& step) const { return options_.again.contains(step.number); }

  bool there(const Step& step, const Record& record) {
    return guarded(step.use, [&] { return step.stage->still_there_with(step.params, record.facts, catalog_); });
  }

  void source(const Step& step, Link& link) {
    link.key = stage_key("", *step.stage, step.params, inputs_);
    link.record = options_.source ? options_.source : read_record(home_.done(link.key.hex));
    if (!options_.source && again(step)) link.record.reset();
    if (!options_.source && link.record && !there(step, *link.record)) {
      link.record.reset();
      link.state = State::miss;
      link.why = "what it was made from is another, or gone";
      return;
    }
    if (link.record && link.record->content) {
      position_ = content_key(*link.record->content);
      link.state = State::hit;
      link.why = "seen " + ago(link.record->created);
      return;
    }
    link.record.reset();
    missed(step, link);
  }

  void later(const Step& step, Link& link) {
    link.below = *position_;
    const bool change = step.stage->role() == Role::change;
    link.before = change ? *position_ : before_sink(*position_, links_.front().record->facts, options_.parts);
    link.key = stage_key(link.before, *step.stage, step.params, inputs_, account_in_key(*step.stage, options_.account));
    if (change) {
      link.plain_key = link.key.hex;
      const auto nonce = options_.nonce.find(step.number);
      link.key.hex =
          renewed_key(link.key.hex, nonce != options_.nonce.end() ? nonce->second : home_.nonce(link.key.hex));
      position_ = link.key.hex;
      link.record = layers_.find(link.key.hex);
    } else {
      link.record = read_record(home_.done(link.key.hex));
    }
    if (first_missing_ != 0) {
      link.record.reset();
      link.state = State::miss;
      link.why = difference(link).value_or("follows " + std::to_string(first_missing_));
    } else if (again(step) || !link.record) {
      link.record.reset();
      missed(step, link);
    } else if (!change && !there(step, *link.record)) {
      link.record.reset();
      link.state = State::miss;
      link.why = "what it made is gone or was changed";
    } else {
      link.state = State::hit;
      link.why = (change ? "sealed " : "done ") + ago(link.record->created);
    }
    // A sink that runs again makes nothing that a later stage depends on.
    if (link.state == State::miss && change && first_missing_ == 0) first_missing_ = step.number;
  }

  void missed(const Step& step, Link& link) {
    link.state = State::miss;
    if (again(step)) {
      link.why = "asked for with --again";
    } else if (const auto changed = difference(link)) {
      link.why = *changed;
    } else {
      link.why = link.last ? "its result is gone" : "never run";
    }
  }

  /// Its own parameters against the last run's: not what came from the stages before it.
  static std::optional<std::string> difference(const Link& link) {
    if (!link.last) return std::nullopt;
    return first_difference(link.last->parts, link.key.parts);
  }

  /// A disk that was seen but never kept is read again when somebody needs it.
  void read_again_if_needed() {
    Link& source = links_.front();
    if (source.state != State::hit || options_.source || layers_.find(source.position)) return;
    for (std::size_t i = 1; i < links_.size(); ++i) {
      if (links_[i].state == State::miss) {
        source.state = State::miss;
        source.why = "its disk is read again for " + std::to_string(i + 1);
        return;
      }
      if (pipeline_.steps[i].stage->role() == Role::change) return;  // sealed: nobody looks below it
    }
  }

  const Pipeline& pipeline_;
  const Home& home_;
  const Layers& layers_;
  Catalog& catalog_;
  const ChainOptions& options_;
  InputDigests inputs_;
  std::vector<Link> links_;
  std::optional<std::string> position_;  // the chain's key so far
  std::size_t first_missing_ = 0;        // the first change that has to run
};

}  // namespace

fs::path Home::last(const std::string& pipeline, std::size_t number) const {
  return root_ / "last" / to_hex(sha256(pipeline)).substr(0, 16) / (std::to_string(number) + ".json");
}

std::string Home::nonce(const std::string& key) const {
  std::error_code error;
  return fs::exists(again(key), error) ? read_text(again(key), 1024) : std::string();
}

std::set<std::size_t> stages_named(const Pipeline& pipeline, const std::vector<std::string>& again) {
  std::set<std::size_t> out;
  std::vector<std::string> names;
  for (const Step& step : pipeline.steps) names.push_back(step.use);
  for (const std::string& word : again) {
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    const bool is_number = error == std::errc{} && end == word.data() + word.size();
    bool found = false;
    for (const Step& step : pipeline.steps)
      if (is_number ? step.number == number : step.use == word) {
        out.insert(step.number);
        found = true;
      }
    if (found) continue;
    const auto near = nearest(word, names);
    throw invalid("the pipeline has no stage \"" + word + "\" to run again",
                  near ? "did you mean \"" + *near + "\"?" : "give a stage's name or its number");
  }
  return out;
}

std::vector<Link> make_chain(const Pipeline& pipeline, const Home& home, const Layers& layers, Catalog& catalog,
                             const ChainOptions& options) {
  return ChainMaker(pipeline, home, layers, catalog, options).make();
}

}  // namespace kiln::engine
