#pragma once
// Fakes for those who write stages: run a stage in a test without an engine, an appliance or a machine.
//
//     kiln::fakes::FakeContext ctx;
//     ctx.fake_guest.files["/etc/hostname"] = "old\n";
//     stage.run_with(ctx, {{"hostname", kiln::Value{std::string("web")}}});
//     EXPECT_EQ(ctx.fake_guest.files["/etc/hostname"], "web\n");
//
// Everything a stage does is recorded in public members; what it asks for is answered from them. Standard library and
// libkiln only. One thread. (The namespace is not called testing, because GoogleTest's is.)

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <kiln/context.h>
#include <kiln/file.h>
#include <kiln/hash.h>
#include <kiln/stage.h>

namespace kiln::fakes {

/// A disk in memory. Chunks that are all zeros are holes.
class MemoryDisk final : public BlockReader {
 public:
  explicit MemoryDisk(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  explicit MemoryDisk(std::string_view text, std::size_t size = 0) : bytes_(std::max(size, text.size())) {
    std::transform(text.begin(), text.end(), bytes_.begin(), [](char c) { return static_cast<std::byte>(c); });
  }

  std::uint64_t size() const override { return bytes_.size(); }
  Extent extent_at(std::uint64_t offset) const override {
    const std::uint64_t end = std::min<std::uint64_t>((offset / chunk_size + 1) * chunk_size, bytes_.size());
    const auto first = bytes_.begin() + static_cast<std::ptrdiff_t>(offset);
    const auto last = bytes_.begin() + static_cast<std::ptrdiff_t>(end);
    return {offset, end - offset, std::any_of(first, last, [](std::byte b) { return b != std::byte{0}; }), false};
  }
  void read(std::uint64_t offset, std::span<std::byte> into) const override {
    ++reads;
    bytes_read += into.size();
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
  }

  mutable std::uint64_t reads = 0, bytes_read = 0;

 private:
  std::vector<std::byte> bytes_;
};

/// A guest that is a map of files. Folders exist when a file is below them or when they were made.
class FakeGuest : public Guest {
 public:
  std::map<std::string, std::string> files;
  std::map<std::string, std::string> links;  ///< path to target
  std::set<std::string> folders{"/"};
  std::map<std::string, unsigned> modes;
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> owners;
  std::vector<std::string> commands;                ///< every run()
  std::map<std::string, std::string> outputs;       ///< what run() returns for a command
  std::map<std::string, std::string> failures;      ///< commands that fail, with their message
  std::vector<std::vector<std::string>> calls;      ///< every call()
  std::map<std::string, std::string> call_results;  ///< by the first word
  std::vector<std::string> devices{"/dev/sda1 ext4"};
  Facts facts{{"os.type", "linux"}, {"os.distro", "debian"}, {"os.version", "12"}, {"os.arch", "x86_64"}};

  const Facts& os() override { return facts; }
  bool exists(const std::string& path) override {
    return files.contains(path) || links.contains(path) || is_directory(path);
  }
  bool is_file(const std::string& path) override { return files.contains(path); }
  bool is_directory(const std::string& path) override {
    const std::string below = path.ends_with('/') ? path : path + '/';
    const auto inside = [&](const auto& entry) { return entry.first.starts_with(below); };
    return folders.contains(path) || std::any_of(files.begin(), files.end(), inside);
  }
  std::string read(const std::string& path, std::uint64_t limit) override {
    const auto it = files.find(path);
    if (it == files.end()) throw Error(path + ": No such file or directory");
    if (it->second.size() > limit) throw Error(path + " is larger than " + std::to_string(limit) + " bytes");
    return it->second;
  }
  void write(const std::string& path, std::string_view content) override { files[path] = content; }
  void append(const std::string& path, std::string_view content) override { files[path] += content; }
  void upload(const std::filesystem::path& host, const std::string& path) override { files[path] = read_text(host); }
  void copy_in(const std::filesystem::path& host, const std::string& directory) override {
    const std::string base = directory + '/' + host.filename().string();
    if (!std::filesystem::is_directory(host)) return upload(host, base);
    make_directory(base);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(host))
      if (entry.is_regular_file()) upload(entry.path(), base + '/' + entry.path().lexically_relative(host).string());
  }
  void unpack(const std::filesystem::path& tar, const std::string& directory) override {
    calls.push_back({"unpack", tar.string(), directory});
  }
  void make_directory(const std::string& path) override { folders.insert(path); }
  void link(const std::string& target, const std::string& path) override { links[path] = target; }
  void chmod(const std::string& path, unsigned mode) override { modes[path] = mode; }
  void chown(const std::string& path, std::int64_t uid, std::int64_t gid) override { owners[path] = {uid, gid}; }
  void remove(const std::string& path) override {
    const auto inside = [&](const std::string& p) { return p == path || p.starts_with(path + '/'); };
    std::erase_if(files, [&](const auto& entry) { return inside(entry.first); });
    std::erase_if(links, [&](const auto& entry) { return inside(entry.first); });
    std::erase_if(folders, inside);
  }
  void truncate(const std::string& path) override { files[path].clear(); }
  std::vector<std::string> glob(const std::string& pattern) override {
    std::vector<std::string> out;
    for (const auto& [path, content] : files)
      if (matches(pattern, path)) out.push_back(path);
    return out;
  }
  std::string run(const std::string& command) override {
    commands.push_back(command);
    if (const auto it = failures.find(command); it != failures.end()) throw Error(it->second);
    const auto it = outputs.find(command);
    return it != outputs.end() ? it->second : std::string();
  }
  std::vector<std::string> filesystems() override { return devices; }
  std::string call(const std::vector<std::string>& words) override {
    calls.push_back(words);
    const auto it = words.empty() ? call_results.end() : call_results.find(words.front());
    return it != call_results.end() ? it->second : std::string();
  }

 private:
  /// "*" stands for any run of characters but "/", "?" for one.
  static bool matches(std::string_view pattern, std::string_view text) {
    if (pattern.empty()) return text.empty();
    if (pattern.front() == '*') {
      for (std::size_t n = 0;; ++n) {
        if (matches(pattern.substr(1), text.substr(n))) return true;
        if (n == text.size() || text[n] == '/') return false;
      }
    }
    if (text.empty() || (pattern.front() != '?' && pattern.front() != text.front())) return false;
    return matches(pattern.substr(1), text.substr(1));
  }
};

/// Formats to find by name. The one named in `detected` is every file's; without it, what their probe() says.
class FakeFormats final : public Formats {
 public:
  std::map<std::string, const Format*> formats;
  std::string detected;

  const Format& get(std::string_view name) const override {
    const auto it = formats.find(std::string(name));
    if (it == formats.end()) throw invalid("there is no format \"" + std::string(name) + '"');
    return *it->second;
  }
  using Formats::detect;
  const Format& detect(const File& file) const override {
    if (!detected.empty()) return get(detected);
    std::vector<std::byte> head(std::min<std::uint64_t>(file.size(), 64 * 1024)), tail(head.size());
    file.read_at(0, head);
    file.read_at(file.size() - tail.size(), tail);
    const Format* weak = nullptr;
    for (const auto& [name, format] : formats) {
      const Match match = format->probe({head, tail, file.size()});
      if (match == Match::yes) return *format;
      if (match == Match::weak) weak = format;
    }
    if (weak == nullptr) throw invalid(file.path().string() + " is in no format").as(code::unknown_format);
    return *weak;
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> out;
    for (const auto& [name, format] : formats) out.push_back(name);
    return out;
  }
};

/// A part that was stored in memory: the chunks' digests instead of their bytes.
class FakePart final : public PartSink {
 public:
  FakePart(std::set<Digest>& known, std::uint64_t virtual_size)
      : known_(known), size_(virtual_size), batches_(std::make_shared<Batches>()) {}
  bool knows(const Digest& digest) const override { return known_.contains(digest); }
  void append(Encoded& encoded) override {
    for (const Digest& digest : encoded.batch->digests) {
      if (digest.is_zero_chunk()) continue;
      ++all_;
      if (known_.insert(digest).second) ++new_;
      content_ = digest;
    }
    const auto bytes = encoded.batch->bytes;
    (*batches_)[encoded.batch->offset].assign(bytes.begin(), bytes.end());
  }
  void finish() override {}
  std::shared_ptr<const BlockReader> open() const override { return std::make_shared<Reader>(size_, batches_); }
  const Digest& content() const override { return content_; }
  std::uint64_t virtual_size() const override { return size_; }
  std::uint64_t new_chunks() const override { return new_; }
  std::uint64_t all_chunks() const override { return all_; }
  std::uint64_t stored_bytes() const override { return new_ * chunk_size; }
  std::string lease() const override { return "lease"; }

 private:
  using Batches = std::map<std::uint64_t, std::vector<std::byte>>;  // by offset
  class Reader final : public BlockReader {
   public:
    Reader(std::uint64_t size, std::shared_ptr<const Batches> batches) : size_(size), batches_(std::move(batches)) {}
    std::uint64_t size() const override { return size_; }
    Extent extent_at(std::uint64_t offset) const override {
      const std::uint64_t start = offset / batch_size * batch_size, end = std::min(start + batch_size, size_);
      return {offset, end - offset, batches_->contains(start), false};
    }
    void read(std::uint64_t offset, std::span<std::byte> into) const override {
      for (std::size_t i = 0; i < into.size(); ++i) {
        const auto it = batches_->find((offset + i) / batch_size * batch_size);
        into[i] = it == batches_->end() ? std::byte{0} : it->second.at((offset + i) % batch_size);
      }
    }

   private:
    std::uint64_t size_;
    std::shared_ptr<const Batches> batches_;
  };

  std::set<Digest>& known_;
  std::uint64_t size_;
  std::shared_ptr<Batches> batches_;
  Digest content_;  // the last chunk's: enough to tell parts apart
  std::uint64_t new_ = 0, all_ = 0;
};

/// A catalog in memory: what was published, with the chunks' digests instead of their bytes.
class FakeCatalog final : public Catalog {
 public:
  std::deque<Image> images;           ///< finished ones, the newest last
  std::vector<std::string> channels;  ///< of each
  std::set<Digest> known;             ///< chunks that are "already there"
  std::vector<std::string> failures;  ///< why images were not made

  std::unique_ptr<ImageSink> publish(const ImageDraft& draft) override { return std::make_unique<Sink>(*this, draft); }
  std::unique_ptr<PartSink> store(std::uint64_t virtual_size) override {
    return std::make_unique<FakePart>(known, virtual_size);
  }
  std::optional<Image> find(std::string_view reference) const override {
    for (auto it = images.rbegin(); it != images.rend(); ++it)
      if (reference == it->name || reference == it->name + ':' + it->version) return *it;
    return std::nullopt;
  }
  std::shared_ptr<const BlockReader> open(const Image& image) const override {
    return std::make_shared<MemoryDisk>("", image.virtual_size);
  }
  std::shared_ptr<const BlockReader> open(const Image&, const ImagePart& part) const override {
    return std::make_shared<MemoryDisk>("", part.virtual_size);
  }

 private:
  class Sink final : public ImageSink {
   public:
    Sink(FakeCatalog& catalog, const ImageDraft& draft) : catalog_(catalog), channel_(draft.channel) {
      image_.name = draft.name;
      image_.version =
          draft.version.empty() ? "2026-01-01." + std::to_string(catalog.images.size() + 1) : draft.version;
      image_.virtual_size = draft.virtual_size;
      image_.facts = draft.facts;
    }
    bool knows(const Digest& digest) const override { return catalog_.known.contains(digest); }
    void append(Encoded& encoded) override {
      for (const Digest& digest : encoded.batch->digests) {
        if (digest.is_zero_chunk()) continue;
        ++all_;
        if (catalog_.known.insert(digest).second) ++new_;
      }
    }
    void finish() override {
      image_.id = "image-" + std::to_string(catalog_.images.size() + 1);
      image_.stored_bytes = new_ * chunk_size;
      image_.created = "2026-01-01T00:00:00Z";
      catalog_.images.push_back(image_);
      catalog_.channels.push_back(channel_);
    }
    void failed(const std::string& why) noexcept override { why_ = why; }
    ~Sink() override {
      if (!why_.empty()) catalog_.failures.push_back(why_);
    }
    void set_facts(Facts facts) override { image_.facts = std::move(facts); }
    void set_parts(std::vector<NewPart> parts) override {
      image_.parts.clear();
      for (const NewPart& one : parts)
        image_.parts.push_back({one.role, one.name, one.disk->content(), one.disk->virtual_size()});
    }
    const Image& image() const override { return image_; }
    std::uint64_t new_chunks() const override { return new_; }
    std::uint64_t all_chunks() const override { return all_; }

   private:
    FakeCatalog& catalog_;
    Image image_;
    std::string why_;
    std::string channel_;
    std::uint64_t new_ = 0, all_ = 0;
  };
};

/// Machines that were asked for. Nothing runs.
class FakeMachines final : public Machines {
 public:
  std::vector<BootSpec> boots;
  std::vector<LaunchSpec> launches;
  std::vector<CaptureSpec> captures;
  std::optional<Error> failure;  ///< thrown by all of them, when set
  BootReport report{Duration(1000), "tcg", "login:"};
  Launches launched{{{"instance", "serial.log", 1}}};
  Capture captured;
  std::function<void(const BootSpec&)> on_boot;  ///< what else a boot does, for example to the disk

  BootReport boot(const BootSpec& spec) override {
    boots.push_back(spec);
    if (on_boot) on_boot(spec);
    if (failure) throw Error(*failure);
    return report;
  }
  Launches launch(const LaunchSpec& spec) override {
    launches.push_back(spec);
    if (failure) throw Error(*failure);
    return launched;
  }
  Capture capture(const CaptureSpec& spec) override {
    captures.push_back(spec);
    if (failure) throw Error(*failure);
    return captured;
  }
};

/// Collects what a stage's check() finds.
class FakeCheck final : public Check {
 public:
  explicit FakeCheck(const Formats& formats) : formats_(formats) {}
  Problems problems;

  void problem(std::string param, std::string what, std::string hint = {}) override {
    problems.push_back({std::move(param), std::move(what), std::move(hint)});
  }
  const Formats& formats() const override { return formats_; }
  void validate(const std::string& param, const Table& options, const std::vector<Param>& against) override {
    Problems found;
    typed(options, against, found);
    for (Problem& p : found) problems.push_back({param + '.' + p.param, p.what, p.hint, p.at_name});
  }

 private:
  const Formats& formats_;
};

/// The context of one stage. The scratch folder is removed by the destructor.
class FakeContext final : public Context {
 public:
  ~FakeContext() {
    std::error_code ignored;
    if (!scratch_.empty()) std::filesystem::remove_all(scratch_, ignored);
  }

  FakeGuest fake_guest;
  FakeFormats fake_formats;
  FakeCatalog fake_catalog;
  FakeMachines fake_machines;
  std::vector<Command> commands;                       ///< every exec()
  std::map<std::string, std::string> outputs;          ///< what exec() returns for a program
  std::function<std::string(const Command&)> on_exec;  ///< when set, what exec() does instead
  std::vector<std::string> lines, warnings;
  std::vector<Finding> findings;
  std::vector<Progress> progressed;
  std::function<void(const Progress&)> on_progress;  ///< what else happens meanwhile, for example to a file
  std::string summed_up;
  Facts known_facts;
  std::vector<NewPart> known_parts;
  std::stop_source stop_source;
  std::shared_ptr<const BlockReader> produced;
  std::uint64_t size = 0;  ///< of the disk; produce_empty() and resize() set it
  DiskFile file;           ///< what disk() answers
  struct Consumer {
    std::unique_ptr<BlockSink> sink;
    std::function<void(const PassResult&)> done;
  };
  std::vector<Consumer> consumers;

  /// Does what the engine does with the sinks that joined: offers the disk, finishes each and calls its `done`.
  void pass(const BlockReader&, const Digest& content = {});

  const std::filesystem::path& scratch() override {
    if (scratch_.empty()) {
      std::string name = (std::filesystem::temp_directory_path() / "kiln-stage-XXXXXX").string();
      if (::mkdtemp(name.data()) == nullptr) throw Error("cannot make a folder for a test");
      scratch_ = name;
    }
    return scratch_;
  }
  std::filesystem::path cache() override {
    const std::filesystem::path folder = scratch() / "cache";
    std::filesystem::create_directories(folder);
    return folder;
  }
  std::string exec(const Command& command) override {
    commands.push_back(command);
    if (on_exec) return on_exec(command);
    const auto it = outputs.find(command.program);
    return it != outputs.end() ? it->second : std::string();
  }
  void log(std::string_view line) override { lines.emplace_back(line); }
  void warn(std::string_view text) override { warnings.emplace_back(text); }
  void found(const Finding& finding) override { findings.push_back(finding); }
  void progress(const Progress& p) override {
    if (stop_source.stop_requested()) throw cancelled();
    progressed.push_back(p);
    if (on_progress) on_progress(p);
  }
  void summary(std::string text) override { summed_up = std::move(text); }
  std::stop_token stop() const override { return stop_source.get_token(); }
  const Formats& formats() const override { return fake_formats; }
  Catalog& catalog() override { return fake_catalog; }
  Machines& machines() override { return fake_machines; }
  Facts& facts() override { return known_facts; }
  std::vector<NewPart>& parts() override { return known_parts; }
  void add_part(const std::string& role, const std::string& name, const BlockReader& disk) override;
  void copy(const BlockReader& disk, BlockSink& sink, const std::string& what) override;
  void produce(std::shared_ptr<const BlockReader> disk) override { produced = std::move(disk); }
  void produce_empty(std::uint64_t bytes) override { size = bytes; }
  Guest& guest() override { return fake_guest; }
  void resize(std::uint64_t bytes) override { size = bytes; }
  std::uint64_t disk_size() const override { return size; }
  DiskFile disk() override { return file; }
  void consume(std::unique_ptr<BlockSink> sink, std::function<void(const PassResult&)> done) override {
    consumers.push_back({std::move(sink), std::move(done)});
  }

 private:
  std::filesystem::path scratch_;
};

inline PassResult offer(const BlockReader& disk, const Digest& content, const std::vector<BlockSink*>& sinks) {
  PassResult result{content, 0};
  for (std::uint64_t at = 0; at < disk.size(); at += batch_size) {
    const std::uint64_t length = std::min(batch_size, disk.size() - at);
    if (const Extent extent = disk.extent_at(at); !extent.data && extent.length >= length) continue;
    std::vector<std::byte> bytes((length + chunk_size - 1) / chunk_size * chunk_size);
    disk.read(at, std::span(bytes).first(length));
    std::vector<Digest> digests;
    for (std::size_t c = 0; c < bytes.size(); c += chunk_size) {
      const auto chunk = std::span<const std::byte>(bytes).subspan(c, chunk_size);
      const bool zero = chunk[0] == std::byte{0} && std::memcmp(chunk.data(), chunk.data() + 1, chunk.size() - 1) == 0;
      digests.push_back(zero ? Digest{} : sha256(chunk));
      if (!zero) result.data_bytes += chunk_size;
    }
    if (std::all_of(digests.begin(), digests.end(), [](const Digest& d) { return d.is_zero_chunk(); })) continue;
    struct Owned {
      std::vector<std::byte> bytes;
      std::vector<Digest> digests;
      Batch batch;
    };
    const auto owned = std::make_shared<Owned>(Owned{std::move(bytes), std::move(digests), {}});
    owned->batch = {at, length, owned->bytes, owned->digests};
    const std::shared_ptr<const Batch> batch(owned, &owned->batch);
    for (BlockSink* sink : sinks) {
      const std::unique_ptr<Encoded> encoded = sink->encode(batch);
      sink->append(*encoded);
      sink->store(*encoded);
    }
  }
  return result;
}

inline void FakeContext::add_part(const std::string& role, const std::string& name, const BlockReader& disk) {
  std::shared_ptr<PartSink> sink = fake_catalog.store(disk.size());
  copy(disk, *sink, name);
  sink->finish();
  known_parts.push_back({role, name, std::move(sink)});
}

inline void FakeContext::copy(const BlockReader& disk, BlockSink& sink, const std::string&) {
  offer(disk, {}, {&sink});
}

inline void FakeContext::pass(const BlockReader& disk, const Digest& content) {
  std::vector<BlockSink*> sinks;
  for (Consumer& consumer : consumers) sinks.push_back(consumer.sink.get());
  const PassResult result = offer(disk, content, sinks);
  for (Consumer& consumer : consumers) {
    consumer.sink->finish();
    if (consumer.done) consumer.done(result);
  }
  consumers.clear();
}

}  // namespace kiln::fakes
