#pragma once
// A stage does one thing to a disk.

#include <string>

#include <kiln/context.h>

namespace kiln {

/// What a stage is to the disk: a source makes it, a change edits it, a sink looks at it.
enum class Role { source, change, sink };

/// What a sink needs of the disk: its content, read in a pass that is shared, or a file that QEMU can open.
enum class Access { content, file };

/// Where check() puts what is wrong, and what it may ask.
class Check {
 public:
  virtual void problem(std::string param, std::string what, std::string hint = {}) = 0;
  virtual const Formats& formats() const = 0;
  /// Reports every problem of `options` against a format's or a stage's parameters, under `param`.
  virtual void validate(const std::string& param, const Table& options, const std::vector<Param>& against) = 0;

 protected:
  ~Check() = default;
};

/// Immortal and immutable: any thread may call any function.
class KILN_API Stage {
 public:
  virtual const About& about() const = 0;
  virtual Role role() const = 0;
  virtual Access access() const = 0;
  virtual void check_with(const Table&, Check&) const = 0;
  virtual std::string fingerprint_with(const Table&) const = 0;
  virtual bool still_there_with(const Table&, const Facts& made, Catalog&) const = 0;
  virtual void run_with(Context&, const Table&) const = 0;

 protected:
  ~Stage() = default;  // plugins are immortal static objects: nobody deletes one
};

/// The base class of stages: parameters arrive as their own struct.
template <class P, Role R = Role::change, Access A = Access::file>
class StageOf : public Stage {
 public:
  StageOf(About about, Schema<P> schema) : about_(std::move(about)), schema_(std::move(schema)) {
    about_.params = schema_.params();
  }
  const About& about() const final { return about_; }
  Role role() const final { return R; }
  Access access() const final { return A; }
  void check_with(const Table& v, Check& c) const final { check(schema_.bind(v), c); }
  std::string fingerprint_with(const Table& v) const final { return fingerprint(schema_.bind(v)); }
  bool still_there_with(const Table& v, const Facts& made, Catalog& c) const final {
    return still_there(schema_.bind(v), made, c);
  }
  void run_with(Context& ctx, const Table& v) const final { run(ctx, schema_.bind(v)); }

 protected:
  virtual void run(Context&, const P&) const = 0;
  /// Everything that can be said without side effects and without the disk.
  virtual void check(const P&, Check&) const {}
  /// What else decides the result, besides parameters: a file's identity, a tool's version.
  virtual std::string fingerprint(const P&) const { return {}; }
  /// Sinks: is what an earlier run made (its facts, as left) still there? Sources: is what it was made from the same?
  virtual bool still_there(const P&, const Facts&, Catalog&) const { return true; }
  ~StageOf() = default;

 private:
  About about_;
  Schema<P> schema_;
};

}  // namespace kiln
