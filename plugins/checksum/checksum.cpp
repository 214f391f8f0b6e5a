#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include <kiln/file.h>
#include <kiln/hash.h>
#include <kiln/plugin.h>

namespace kiln {
namespace {

struct Params {
  std::vector<std::string> algorithms{"sha256"};
  std::filesystem::path file;
};

Algorithm algorithm_of(const std::string& name) {
  return name == "sha512" ? Algorithm::sha512 : Algorithm::sha256;
}

/// A digest that runs on a thread of its own, so that the pass goes on meanwhile. Zeros are hashed as what they are:
/// the result is that of the raw disk.
class RunningDigest {
 public:
  RunningDigest(const std::string& name, std::stop_token stop)
      : hasher_(algorithm_of(name)), stop_(std::move(stop)), thread_([this] { work(); }) {}
  RunningDigest(const RunningDigest&) = delete;
  RunningDigest& operator=(const RunningDigest&) = delete;
  ~RunningDigest() {
    {
      const std::lock_guard lock(mutex_);
      dropped_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  void zeros(std::uint64_t length) { push({nullptr, length}); }
  void batch(std::shared_ptr<const Batch> batch) { push({std::move(batch), 0}); }

  /// `wait` is called now and then with the bytes hashed so far: the last gap of a large, empty disk takes minutes.
  std::string hex(const std::function<void(std::uint64_t)>& wait) {
    push({nullptr, 0});  // the end
    {
      std::unique_lock lock(mutex_);
      while (!changed_.wait_for(lock, std::chrono::milliseconds(100), [this] { return done_; })) {
        lock.unlock();
        wait(hashed_);
        lock.lock();
      }
    }
    thread_.join();
    if (error_) std::rethrow_exception(error_);
    return hasher_.hex();
  }

 private:
  struct Piece {
    std::shared_ptr<const Batch> batch;
    std::uint64_t zeros;
  };

  void push(Piece piece) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return pieces_.size() < 8 || error_; });
    if (error_) std::rethrow_exception(error_);
    pieces_.push_back(std::move(piece));
    changed_.notify_all();
  }

  void work() noexcept {
    try {
      while (step()) {
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      error_ = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    done_ = true;
    changed_.notify_all();
  }

  bool step() {
    Piece piece;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return dropped_ || !pieces_.empty(); });
      if (dropped_) return false;
      piece = std::move(pieces_.front());
      pieces_.pop_front();
      changed_.notify_all();
    }
    if (!piece.batch && piece.zeros == 0) return false;
    if (piece.batch) {
      hasher_.update(piece.batch->bytes.first(piece.batch->length));
      hashed_ += piece.batch->length;
    }
    static const std::vector<std::byte> nothing(batch_size);
    for (std::uint64_t left = piece.zeros; left > 0;) {
      const std::size_t n = std::min<std::uint64_t>(left, nothing.size());
      hasher_.update(std::span(nothing).first(n));
      left -= n;
      hashed_ += n;
      if (stop_.stop_requested()) throw cancelled();
      if (dropped_) return false;
    }
    return true;
  }

  Hasher hasher_;
  std::stop_token stop_;
  std::atomic<std::uint64_t> hashed_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Piece> pieces_;
  std::atomic<bool> dropped_ = false;
  bool done_ = false;
  std::exception_ptr error_;
  std::thread thread_;  // last: it uses all of the above
};

using Digests = std::map<std::string, std::string>;

class ChecksumSink final : public BlockSink {
 public:
  ChecksumSink(Context& ctx, const std::vector<std::string>& algorithms, std::shared_ptr<Digests> results)
      : ctx_(ctx), size_(ctx.disk_size()), results_(std::move(results)) {
    for (const std::string& name : algorithms)
      if (!running_.contains(name)) running_.emplace(name, std::make_unique<RunningDigest>(name, ctx.stop()));
  }

  void append(Encoded& encoded) override {
    gap(encoded.batch->offset);
    for (const auto& [name, digest] : running_) digest->batch(encoded.batch);
    at_ = encoded.batch->offset + encoded.batch->length;
  }

  void finish() override {
    gap(size_);
    const auto show = [this](std::uint64_t done) {
      ctx_.progress({Progress::Unit::bytes, static_cast<double>(done), static_cast<double>(size_), "hashing"});
    };
    for (const auto& [name, digest] : running_) results_->insert_or_assign(name, digest->hex(show));
  }

 private:
  void gap(std::uint64_t until) {
    if (until <= at_) return;
    for (const auto& [name, digest] : running_) digest->zeros(until - at_);
    at_ = until;
  }

  Context& ctx_;
  std::uint64_t size_, at_ = 0;
  std::shared_ptr<Digests> results_;
  std::map<std::string, std::unique_ptr<RunningDigest>> running_;
};

class Checksum final : public StageOf<Params, Role::sink, Access::content> {
 public:
  Checksum()
      : StageOf({.name = "checksum", .summary = "Compute digests of the disk's bytes."},
                {{"algorithms", &Params::algorithms,
                  "\"sha256\" and \"sha512\", of the raw disk as the guest sees it; the content digest comes always."},
                 {"file", &Params::file, "Also write them to this file, as sha256sum does."}}) {}

 protected:
  void check(const Params& p, Check& c) const override {
    for (std::size_t i = 0; i < p.algorithms.size(); ++i)
      if (p.algorithms[i] != "sha256" && p.algorithms[i] != "sha512")
        c.problem("algorithms[" + std::to_string(i) + ']', "there is no algorithm \"" + p.algorithms[i] + '"',
                  "choose from \"sha256\" and \"sha512\"");
    if (p.algorithms.empty() && p.file.empty())
      c.problem("algorithms", "nothing is computed", "name at least one of \"sha256\" and \"sha512\"");
  }

  bool still_there(const Params& p, const Facts& made, Catalog&) const override {
    if (p.file.empty()) return true;
    std::error_code error;
    if (!std::filesystem::is_regular_file(p.file, error)) return false;
    const std::string text = read_text(p.file);
    return std::ranges::all_of(p.algorithms, [&](const std::string& name) {
      const auto it = made.find("checksum." + name);
      return it == made.end() || text.find(it->second) != std::string::npos;
    });
  }

  void run(Context& ctx, const Params& p) const override {
    const auto results = std::make_shared<Digests>();
    ctx.consume(std::make_unique<ChecksumSink>(ctx, p.algorithms, results),
                [&ctx, p, results](const PassResult& pass) { tell(ctx, p, *results, pass); });
  }

 private:
  static void tell(Context& ctx, const Params& p, const Digests& results, const PassResult& pass) {
    const std::string content = "sha256:" + to_hex(pass.content);
    ctx.facts()["checksum.content"] = content;
    std::string summary, text = "# kiln content digest " + content + '\n';
    for (const auto& [name, hex] : results) {
      ctx.facts()["checksum." + name] = hex;
      text += hex + "  " + p.file.stem().string() + '\n';
      summary += (summary.empty() ? "" : ", ") + name + ' ' + hex.substr(0, 12) + "…";
    }
    if (!p.file.empty()) {
      std::error_code ignored;  // write_text says what is wrong
      std::filesystem::create_directories(p.file.parent_path(), ignored);
      write_text(p.file, text, true);
    }
    ctx.summary(summary + (summary.empty() ? "" : ", ") + "content " + content.substr(7, 12) + "…");
  }
};

}  // namespace
}  // namespace kiln

KILN_STAGE(kiln::Checksum)
