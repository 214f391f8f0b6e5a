#include <algorithm>

#include <kiln/plugin.h>

namespace kiln {
namespace {

struct Params {
  std::string image;
  std::string version;
  std::string channel;
};

/// What goes into the record: all but the marks of files of this host.
Facts facts_of(Context& ctx) {
  Facts facts = ctx.facts();
  std::erase_if(facts, [](const auto& fact) { return fact.first.starts_with("written."); });
  return facts;
}

/// The catalog's sink, which learns the facts at the last moment: stages before it may add some until then.
class PublishSink final : public BlockSink {
 public:
  PublishSink(Context& ctx, std::unique_ptr<ImageSink> image) : ctx_(ctx), image_(std::move(image)) {}

  bool knows(const Digest& digest) const override { return image_->knows(digest); }
  std::unique_ptr<Encoded> encode(std::shared_ptr<const Batch> batch) const override {
    return image_->encode(std::move(batch));
  }
  void append(Encoded& encoded) override { image_->append(encoded); }
  void store(Encoded& encoded) override { image_->store(encoded); }
  void finish() override {
    image_->set_facts(facts_of(ctx_));
    image_->set_parts(ctx_.parts());
    image_->finish();
  }
  void failed(const std::string& why) noexcept override { image_->failed(why); }

  const ImageSink& made() const { return *image_; }

 private:
  Context& ctx_;
  std::unique_ptr<ImageSink> image_;
};

/// "29 114": digits in groups of three.
std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), " ");
  return digits;
}

bool is_name(const std::string& text) {
  const auto fits = [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  return !text.empty() && text.size() <= 128 && text.front() != '.' && text.front() != '-' &&
         std::ranges::all_of(text, fits);
}

class Publish final : public StageOf<Params, Role::sink, Access::content> {
 public:
  Publish()
      : StageOf({.name = "publish", .summary = "Put the disk into the catalog, as an image."},
                {{"image", &Params::image, "The image's name.", required},
                 {"version", &Params::version, "Its version. Default: today's date and the next number, 2026-11-22.1."},
                 {"channel", &Params::channel, "A channel that points to it from now on, such as \"stable\"."}}) {}

 protected:
  void check(const Params& p, Check& c) const override {
    const auto name = [&](const char* param, const std::string& value, bool may_be_empty) {
      if ((may_be_empty && value.empty()) || is_name(value)) return;
      c.problem(param, '"' + value + "\" cannot be a name of the catalog",
                "use letters, digits, \".\", \"_\" and \"-\", and begin with a letter or digit");
    };
    name("image", p.image, false);
    name("version", p.version, true);
    name("channel", p.channel, true);
  }

  bool still_there(const Params&, const Facts& made, Catalog& catalog) const override {
    const auto reference = made.find("image.reference"), id = made.find("image.id");
    if (reference == made.end() || id == made.end()) return false;
    const auto image = catalog.find(reference->second);
    return image && image->id == id->second;
  }

  void run(Context& ctx, const Params& p) const override {
    auto image = ctx.catalog().publish({.name = p.image,
                                        .version = p.version,
                                        .channel = p.channel,
                                        .virtual_size = ctx.disk_size(),
                                        .facts = facts_of(ctx)});
    auto sink = std::make_unique<PublishSink>(ctx, std::move(image));
    const ImageSink& made = sink->made();  // lives until this stage's `done` has run
    ctx.consume(std::move(sink), [&ctx, &made](const PassResult&) {
      const Image& published = made.image();
      const std::string reference = published.name + ':' + published.version;
      ctx.facts()["image.reference"] = reference;
      ctx.facts()["image.id"] = published.id;
      ctx.summary(reference + ", " + grouped(made.new_chunks()) + " new chunks of " + grouped(made.all_chunks()) +
                  ", " + format_bytes(published.stored_bytes) + " stored");
    });
  }
};

}  // namespace
}  // namespace kiln

KILN_STAGE(kiln::Publish)
