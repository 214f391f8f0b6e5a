#include <sys/stat.h>

#include <vector>

#include <kiln/file.h>
#include <kiln/plugin.h>

namespace kiln {
namespace {

namespace fs = std::filesystem;

struct Params {
  fs::path file;
  std::string format;
  Table options;
  bool durable = true;
};

std::string mark_of(const fs::path& file) {
  struct stat st {};
  if (::stat(file.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return "missing";
  return std::to_string(st.st_ino) + ':' + std::to_string(st.st_size) + ':' +
         std::to_string(st.st_mtim.tv_sec * 1'000'000'000LL + st.st_mtim.tv_nsec);
}

std::string fact_of(const fs::path& file) {
  return "written." + file.filename().string();
}

/// The format's sink on a pending name: the file appears, or is replaced, when it is complete.
class WriteSink final : public BlockSink {
 public:
  WriteSink(const fs::path& file, const Format& format, std::uint64_t size, const Table& options, bool durable)
      : pending_(file), durable_(durable), sink_(format.create_with(pending_.path(), size, options)) {
    pending_.remove_abandoned();
  }

  bool knows(const Digest& digest) const override { return sink_->knows(digest); }
  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch> batch) const override {
    return sink_->encode(std::move(batch));
  }
  void append(Encoded& encoded) override { sink_->append(encoded); }
  void store(Encoded& encoded) override { sink_->store(encoded); }
  void finish() override {
    sink_->finish();
    pending_.commit(durable_);
  }

 private:
  PendingFile pending_;
  bool durable_;
  std::unique_ptr<BlockSink> sink_;
};

/// The machine's further disks, in its order. What else it has, no format of others has a place for.
std::vector<NewPart> further_disks(Context& ctx) {
  std::vector<NewPart> disks = ctx.parts();
  std::erase_if(disks, [](const NewPart& part) { return part.role != part_role::data; });
  return disks;
}

/// The same for a whole machine: the system disk comes with the pass, the others after it.
class PackSink final : public BlockSink {
 public:
  PackSink(Context& ctx, const fs::path& file, const Format& format, const Table& options, bool durable)
      : ctx_(ctx), further_(further_disks(ctx)), pending_(file), durable_(durable) {
    std::vector<std::uint64_t> sizes{ctx.disk_size()};
    for (const NewPart& part : further_) sizes.push_back(part.disk->virtual_size());
    package_ = format.pack_with(pending_.path(), sizes, ctx.facts(), options);
    system_ = &package_->next_disk();
    pending_.remove_abandoned();
  }

  bool knows(const Digest& digest) const override { return system_->knows(digest); }
  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch> batch) const override {
    return system_->encode(std::move(batch));
  }
  void append(Encoded& encoded) override { system_->append(encoded); }
  void store(Encoded& encoded) override { system_->store(encoded); }
  void finish() override {
    system_->finish();
    for (const NewPart& part : further_) {
      BlockSink& next = package_->next_disk();
      ctx_.copy(*part.disk->open(), next, part.name);
      next.finish();
    }
    package_->finish([this](std::uint64_t done, std::uint64_t total) {
      ctx_.progress({Progress::Unit::bytes, static_cast<double>(done), static_cast<double>(total), "the manifest"});
    });
    pending_.commit(durable_);
  }

 private:
  Context& ctx_;
  std::vector<NewPart> further_;
  PendingFile pending_;
  bool durable_;
  std::unique_ptr<Package> package_;
  BlockSink* system_ = nullptr;
};

class Write final : public StageOf<Params, Role::sink, Access::content> {
 public:
  Write()
      : StageOf(
            {.name = "write", .summary = "Write the disk to a file, in any format that can be written."},
            {{"file", &Params::file, "The file to write. An existing one is replaced in one step.", required},
             {"format", &Params::format, "Its format, such as \"vhd\". Default: by the file's ending."},
             {"options", &Params::options, "The format's own options: see kiln plugin info FORMAT."},
             {"durable", &Params::durable,
              "Wait until the file would survive a power cut. Without it the host writes it back when it likes."}}) {}

 protected:
  void check(const Params& p, Check& c) const override {
    std::error_code error;
    const fs::file_status status = fs::status(p.file, error);
    if (fs::is_directory(status))
      c.problem("file", p.file.string() + " is a folder", "give the path of a file");
    else if (fs::exists(status) && !fs::is_regular_file(status))  // it would be replaced, not written to
      c.problem("file", p.file.string() + " is not a regular file", "give the path of a file");
    try {
      c.validate("options", p.options, format_for(c.formats(), p.file, p.format).about().params);
    } catch (const Error& unknown) {
      c.problem(p.format.empty() ? "file" : "format", unknown.what(), unknown.hint());
    }
  }

  bool still_there(const Params& p, const Facts& made, Catalog&) const override {
    const auto it = made.find(fact_of(p.file));
    return it != made.end() && it->second == mark_of(p.file);
  }

  void run(Context& ctx, const Params& p) const override {
    const Format& format = format_for(ctx.formats(), p.file, p.format);
    Problems problems;
    const Table options = typed(p.options, format.about().params, problems);
    if (!problems.empty()) throw invalid(problems.front().what, problems.front().hint);
    if (p.file.has_parent_path()) {
      std::error_code error;
      fs::create_directories(p.file.parent_path(), error);
      if (error) throw system_error("cannot create " + p.file.parent_path().string(), error.value());
    }
    std::unique_ptr<BlockSink> sink;
    if (format.is_package())
      sink = std::make_unique<PackSink>(ctx, p.file, format, options, p.durable);
    else
      sink = std::make_unique<WriteSink>(p.file, format, ctx.disk_size(), options, p.durable);
    ctx.consume(std::move(sink), [&ctx, file = p.file, name = format.about().name](const PassResult&) {
      struct stat st {};
      ::stat(file.c_str(), &st);
      ctx.facts()[fact_of(file)] = mark_of(file);
      ctx.summary(file.string() + "  " + name + ", " + format_bytes(static_cast<std::uint64_t>(st.st_blocks) * 512));
    });
  }
};

}  // namespace
}  // namespace kiln

KILN_STAGE(kiln::Write)
