#include "engine/runner.h"

#include <algorithm>

#include <kiln/file.h>
#include <kiln/hash.h>

#include "engine/pass.h"
#include "engine/stage_context.h"
#include "engine/workbench.h"

namespace kiln::engine {
namespace {

using Stages = std::vector<std::unique_ptr<StageContext>>;

/// What `after` has that `before` has not.
Facts changed(const Facts& before, const Facts& after) {
  Facts out;
  for (const auto& [name, value] : after)
    if (const auto it = before.find(name); it == before.end() || it->second != value) out.emplace(name, value);
  return out;
}

class Runner {
 public:
  Runner(const Pipeline& pipeline, const Services& services, Observer& observer, const RunOptions& options)
      : run_(pipeline, services, observer, options), bench_(run_) {
    chain_options_.again = stages_named(pipeline, options.again);
    chain_options_.account = services.account;
    const auto now = std::chrono::system_clock::now().time_since_epoch().count();
    for (const std::size_t number : chain_options_.again)
      chain_options_.nonce[number] = to_hex(sha256(std::to_string(now) + ' ' + std::to_string(number)));
  }

  RunResult run() {
    try {
      return work();
    } catch (const Error& error) {
      report_failure(error);
      throw;
    }
  }

 private:
  const std::vector<Step>& steps() const { return run_.pipeline.steps; }

  RunResult work() {
    if (steps().empty() || steps().front().stage->role() != Role::source)
      throw invalid("the pipeline does not begin with a source", "put a stage that makes a disk first");
    run_.facts["pipeline"] = run_.pipeline.name;
    make_links();
    const auto hits = static_cast<std::size_t>(std::ranges::count(links_, State::hit, &Link::state));
    run_.emit({.kind = Event::Kind::run_started, .name = run_.pipeline.name, .stages = steps().size(), .cached = hits});
    source();
    if (const auto parent = run_.facts.find("parent"); parent != run_.facts.end()) origin_ = parent->second;
    for (std::size_t i = 1; i < steps().size();) {
      run_.throw_if_stopped();
      i = steps()[i].stage->role() == Role::change ? changes(i) : sinks(i);
    }
    if (reader_ && !links_.front().record) read_source({}, false);  // nobody looked at it: at least it can be read
    result_.facts = run_.facts;
    result_.elapsed = since(started_);
    run_.emit({.kind = Event::Kind::run_done,
               .name = run_.pipeline.name,
               .elapsed = result_.elapsed,
               .facts = run_.facts,
               .stages = steps().size(),
               .cached = result_.cached});
    return result_;
  }

  void make_links() {
    links_ = make_chain(run_.pipeline, run_.home, run_.layers, run_.services.catalog, chain_options_);
  }

  // --- telling

  void report_failure(const Error& error) {
    bench_.drop();
    if (const Step* step = run_.failed.load())
      run_.emit({.kind = Event::Kind::stage_failed,
                 .stage = step->number,
                 .name = step->use,
                 .text = error.what(),
                 .elapsed = since(stage_started_),
                 .error = error});
    run_.emit({.kind = Event::Kind::run_failed,
               .name = run_.pipeline.name,
               .text = error.what(),
               .elapsed = since(started_),
               .error = error});
  }

  std::unique_ptr<StageContext> start(std::size_t i) {
    run_.throw_if_stopped();
    stage_started_ = Steady::now();
    auto stage = std::make_unique<StageContext>(run_, steps()[i], bench_);
    run_.emit({.kind = Event::Kind::stage_started, .stage = steps()[i].number, .name = steps()[i].use});
    return stage;
  }

  void call(StageContext& stage) {
    run_.as(stage.step(), [&] { stage.step().stage->run_with(stage, stage.step().params); });
  }

  void cached(std::size_t i) {
    const Record& record = *links_[i].record;
    if (steps()[i].stage->role() == Role::sink) run_.facts["key"] = links_[i].below;
    for (const auto& [name, value] : record.facts) run_.facts.insert_or_assign(name, value);
    ++result_.cached;
    if (!links_[i].last || links_[i].last->key != record.key || links_[i].last->parts != links_[i].key.parts)
      remember(i, record);
    run_.emit({.kind = Event::Kind::stage_cached,
               .stage = steps()[i].number,
               .name = steps()[i].use,
               .text = record.summary,
               .facts = record.facts});
  }

  void remember(std::size_t i, Record record) {
    record.parts = links_[i].key.parts;
    const std::filesystem::path file = run_.home.last(run_.pipeline.name, steps()[i].number);
    std::error_code error;
    std::filesystem::create_directories(file.parent_path(), error);
    write_record(file, record, false);
  }

  Record record_of(std::size_t i, const StageContext& stage, const Facts& before) const {
    Record record;
    record.stage = steps()[i].use;
    record.key = links_[i].key.hex;
    record.parts = links_[i].key.parts;
    record.summary = stage.made_summary();
    record.facts = changed(before, run_.facts);
    record.elapsed = stage.elapsed();
    record.created = Clock::now();
    return record;
  }

  void tell_done(const StageContext& stage, const Record& record, const std::string& note = {}) {
    ++result_.ran;
    run_.emit({.kind = Event::Kind::stage_done,
               .stage = stage.step().number,
               .name = stage.step().use,
               .text = record.summary + note,
               .elapsed = record.elapsed,
               .facts = record.facts});
  }

  // --- the source

  void source() {
    if (links_.front().state == State::hit) return cached(0);
    const Facts before = run_.facts;
    const auto stage = start(0);
    bench_.listen(receivers(*stage));
    call(*stage);
    name_parent(*stage);
    require_same_inputs(0);
    if (!bench_.busy() && !stage->produced)
      run_.as(stage->step(), [] { throw Error("it made no disk", "this is a bug in the plugin: tell its author"); });
    source_facts_ = before;
    if (bench_.busy()) {
      const Digest content = run_.as(stage->step(), [&] { return bench_.finish(); });
      Record record = source_record(*stage, content);
      Record layer = record;
      layer.key = content_key(content);
      bench_.seal(layer);
      source_known(record);
      tell_done(*stage, record);
    } else {
      reader_ = stage->produced;
      source_draft_ = record_of(0, *stage, before);
      tell_done(*stage, source_draft_);
    }
  }

  /// What a source has taken out of the catalog is its disk's parent, also when the source does not say so.
  void name_parent(const StageContext& stage) {
    const std::vector<std::string>& opened = stage.opened_images();
    if (!opened.empty() && std::ranges::find(opened, run_.facts["parent"]) == opened.end())
      run_.facts["parent"] = opened.back();
  }

  /// A result is kept under the key that was made before the stage ran: what that key saw must still be there.
  void require_same_inputs(std::size_t i) {
    const Step& step = steps()[i];
    run_.as(step, [&] {
      InputDigests inputs(run_.home.inputs());
      const Key now = stage_key(links_[i].before, *step.stage, step.params, inputs,
                                account_in_key(*step.stage, run_.services.account));
      if (const auto difference = first_difference(links_[i].key.parts, now.parts))
        throw Error("an input was changed while the stage ran", "wait until whoever writes it is done, then run again",
                    {*difference});
    });
  }

  Record source_record(const StageContext& stage, const Digest& content) {
    run_.facts["source.digest"] = "sha256:" + to_hex(content);
    Record record = record_of(0, stage, source_facts_);
    record.content = content;
    return record;
  }

  /// The content is known now, so everything after it can be looked up.
  void source_known(const Record& record) {
    write_record(run_.home.done(record.key), record, false);
    remember(0, record);
    chain_options_.source = record;
    for (const NewPart& part : run_.parts)
      chain_options_.parts += part.role + ' ' + part.name + ' ' + to_hex(part.disk->content()) + '\n';
    make_links();
  }

  /// The one pass over what the source gave. Afterwards the chain is known, and the base layer is there if wanted.
  PassResult read_source(Stages* stages, bool keep) {
    const Step& step = steps().front();
    std::unique_ptr<LayerDraft> base;
    if (keep && !(links_.front().record && run_.layers.find(links_.front().position)))
      base = std::make_unique<LayerDraft>(run_.workspace, "");
    const PassResult result = run_pass(run_, {.reader = *reader_, .reads = step, .base = base.get(), .stages = stages});
    run_.facts["source.digest"] = "sha256:" + to_hex(result.content);
    Record record = source_draft_;
    record.facts["source.digest"] = run_.facts["source.digest"];
    record.content = result.content;
    if (base) {
      Record layer = record;
      layer.key = content_key(result.content);
      layer.size = reader_->size();
      base->seal(layer);
    }
    source_known(record);
    if (base) reader_.reset();  // from here on the layer is what is read
    return result;
  }

  // --- changes

  Receivers receivers(StageContext& stage) {
    return {[&stage](std::string_view line) { stage.log(line); },
            [&stage](const Progress& progress) { stage.progress(progress); }};
  }

  std::size_t changes(std::size_t i) {
    if (links_[i].state != State::hit) keep_base();
    if (links_[i].state == State::hit) {
      cached(i);
      return i + 1;
    }
    stage_started_ = Steady::now();
    run_.as(steps()[i], [&] { bench_.start_overlay(links_[i].below, links_[i].key.hex); });
    for (;; ++i) {
      const bool last = i + 1 == steps().size() || steps()[i + 1].stage->role() != Role::change;
      change(i, last);
      if (last) return i + 1;
    }
  }

  void change(std::size_t i, bool last) {
    const Facts before = run_.facts;
    const auto stage = start(i);
    bench_.listen(receivers(*stage));
    call(*stage);
    run_.as(stage->step(), [&] {
      if (last) {
        bench_.finish();
      } else {
        bench_.finish_and_go_on(links_[i].key.hex, links_[i + 1].key.hex);
      }
    });
    require_same_inputs(i);
    const Record record = record_of(i, *stage, before);
    bench_.seal(record);
    if (const auto nonce = chain_options_.nonce.find(stage->step().number); nonce != chain_options_.nonce.end())
      write_text(run_.home.again(links_[i].plain_key), nonce->second);
    remember(i, record);
    tell_done(*stage, record);
    bench_.listen({[](std::string_view) {}, [](const Progress&) {}});
  }

  /// What comes next needs the source's disk as a file.
  void keep_base() {
    if (reader_) read_source(nullptr, true);
  }

  // --- sinks

  std::size_t sinks(std::size_t i) {
    Stages group;
    try {
      return sinks(i, group);
    } catch (const std::exception& error) {
      if (!is_cancelled(error)) tell_unfinished(group, error.what());
      throw;
    }
  }

  std::size_t sinks(std::size_t i, Stages& group) {
    std::size_t end = i;
    while (end < steps().size() && steps()[end].stage->role() == Role::sink) ++end;
    const bool change_follows = end < steps().size() && links_[end].state != State::hit;
    for (; i < end; ++i) {
      if (links_[i].state == State::hit) {
        cached(i);
      } else if (steps()[i].stage->access() == Access::content) {
        join(i, group);
      } else {
        finish_group(group, true);
        if (links_[i].state == State::hit) {  // known only now
          cached(i);
        } else {
          file_sink(i);
        }
      }
    }
    finish_group(group, change_follows);
    return end;
  }

  /// No stage in between can make the disk forget where it is from, and no sink gets what this account may only build
  /// from.
  void ask_whether_handed_on(std::size_t i) {
    if (origin_.empty()) return;
    run_.facts["parent"] = origin_;
    if (!run_.services.allow) return;
    run_.as(steps()[i], [&] {
      HandOver to{.stage = steps()[i].use, .image = origin_, .content = {}};
      if (!reader_) to.content = Manifest::open(run_.layers.manifest(links_[i].below)).content();
      run_.services.allow(to);
    });
  }

  void join(std::size_t i, Stages& group) {
    group.push_back(start(i));
    ask_whether_handed_on(i);
    StageContext& stage = *group.back();
    stage.look_at({}, reader_ ? reader_->size() : run_.layers.find(links_[i].below)->size);
    joined_facts_[i] = run_.facts;
    call(stage);
    joined_facts_[i] = changed(joined_facts_[i], run_.facts);
  }

  /// One pass for all that joined; then they finish, in their order.
  void finish_group(Stages& group, bool keep) {
    PassResult result;
    if (reader_) {
      if (group.empty() && !keep) return;
      result = read_source(&group, keep);
    } else if (!group.empty()) {
      const std::string& below = links_[group.front()->step().number - 1].below;
      const auto reader = run_.layers.open(below);
      const Manifest known = Manifest::open(run_.layers.manifest(below));
      result = run_pass(run_, {.reader = *reader, .reads = group.front()->step(), .known = &known, .stages = &group});
    }
    for (const auto& stage : group) finish_sink(*stage, result, *group.front());
    group.clear();
  }

  static void tell_unfinished(const Stages& group, const std::string& why) {
    for (const auto& stage : group)
      for (const StageContext::Consumer& consumer : stage->consumers)
        if (consumer.sink) consumer.sink->failed(why);
  }

  void finish_sink(StageContext& stage, const PassResult& result, const StageContext& first) {
    const std::size_t i = stage.step().number - 1;
    run_.facts["key"] = links_[i].below;
    const Facts before = run_.facts;
    run_.as(stage.step(), [&] {
      for (StageContext::Consumer& consumer : stage.consumers) {
        consumer.sink->finish();
        if (consumer.done) consumer.done(result);
        consumer.sink.reset();
      }
    });
    Record record = record_of(i, stage, before);
    for (const auto& [name, value] : joined_facts_[i]) record.facts.try_emplace(name, value);
    sink_done(i, stage, record, &stage == &first ? "" : " (same read pass as " + first.step().use + ")");
  }

  void file_sink(std::size_t i) {
    const std::string& below = links_[i].below;
    run_.facts["key"] = below;
    const Facts before = run_.facts;
    const auto stage = start(i);
    ask_whether_handed_on(i);
    stage->look_at({run_.layers.disk(below), run_.layers.format().about().name}, run_.layers.find(below)->size);
    const std::string stamp = run_.layers.stamp(below);
    call(*stage);
    if (run_.layers.stamp(below) != stamp)
      run_.as(stage->step(), [&] {
        throw Error("the disk was written to while it was only to be looked at",
                    "remove the damaged layers and run again: kiln cache clear", {run_.layers.disk(below).string()});
      });
    sink_done(i, *stage, record_of(i, *stage, before), "");
  }

  void sink_done(std::size_t i, const StageContext& stage, const Record& record, const std::string& note) {
    require_same_inputs(i);
    write_record(run_.home.done(record.key), record, false);
    remember(i, record);
    tell_done(stage, record, note);
  }

  RunState run_;
  Workbench bench_;
  ChainOptions chain_options_;
  std::vector<Link> links_;
  RunResult result_;
  Steady::time_point started_ = Steady::now(), stage_started_ = started_;
  std::shared_ptr<const BlockReader> reader_;  // the source's disk, while it is no layer
  std::string origin_;                         // id of the image that the source has taken; may be empty
  Facts source_facts_;
  Record source_draft_;  // without the content
  std::map<std::size_t, Facts> joined_facts_;
};

}  // namespace

RunResult run(const Pipeline& pipeline, const Services& services, Observer& observer, const RunOptions& options) {
  return Runner(pipeline, services, observer, options).run();
}

}  // namespace kiln::engine
