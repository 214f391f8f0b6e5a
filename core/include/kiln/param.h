#pragma once
// Parameters, declared once by member pointers of a plain struct. The declaration gives validation, binding,
// `kiln plugin info`, the README's table, the editor's JSON Schema and the cache key.

#include <functional>
#include <initializer_list>
#include <type_traits>

#include <kiln/value.h>

namespace kiln {

enum class Kind { boolean, integer, string, size, duration, path, input_path, table, record };

struct Param;

/// The type of a parameter: a kind, or a list of it. A record declares its own fields.
struct Type {
  Type(Kind k = Kind::string, bool is_list = false);
  Type(Kind k, bool is_list, std::vector<Param> record);
  ~Type();
  Type(const Type&);
  Type(Type&&) noexcept;
  Type& operator=(const Type&);
  Type& operator=(Type&&) noexcept;

  Kind kind;
  bool list;
  std::vector<Param> fields;  // Kind::record only
};

/// One parameter as data. The validator, the documentation and the cache key all read this.
struct Param {
  std::string name, doc;
  Type type = {};
  bool required = false;
  Value fallback = {};                    // the struct's own initialiser; used when !required
  std::vector<std::string> choices = {};  // strings only; empty means any
  bool secret = false;                    // never printed; enters the key as a digest
};

inline Type::Type(Kind k, bool is_list) : kind(k), list(is_list) {}
inline Type::Type(Kind k, bool is_list, std::vector<Param> record)
    : kind(k), list(is_list), fields(std::move(record)) {}
inline Type::~Type() = default;
inline Type::Type(const Type&) = default;
inline Type::Type(Type&&) noexcept = default;
inline Type& Type::operator=(const Type&) = default;
inline Type& Type::operator=(Type&&) noexcept = default;

/// "a size such as \"20G\"": how a message names the type it wanted.
KILN_API std::string describe(const Type&);

/// One thing wrong with the parameters. `param` is a path such as "size" or "users[1].name".
struct Problem {
  std::string param, what, hint = {};
  bool at_name = false;  ///< the name itself is wrong, not the value
};
using Problems = std::vector<Problem>;

/// Validates values against their declaration and gives them their types. `given` holds them as a pipeline file has
/// them (strings for sizes, durations and paths; "2" and "true" for what came out of a variable) or typed already.
/// Everything wrong is added to `problems` and left out of the result; defaults are not filled in.
KILN_API Table typed(const Table& given, const std::vector<Param>& params, Problems& problems);

enum class Need { optional, required, secret };
inline constexpr Need required = Need::required;
inline constexpr Need secret = Need::secret;

/// Binds a Table to a struct P. Immutable after construction; any thread may use it.
template <class P>
class Schema;

namespace detail {

template <class T>
struct Codec;  // Type type(); T from(const Value&); Value to(const T&)

template <class T, Kind K>
struct Plain {
  static Type type() { return {K}; }
  static T from(const Value& v) { return std::get<T>(v.v); }
  static Value to(const T& t) { return Value{t}; }
};
template <>
struct Codec<bool> : Plain<bool, Kind::boolean> {};
template <>
struct Codec<std::int64_t> : Plain<std::int64_t, Kind::integer> {};
template <>
struct Codec<std::string> : Plain<std::string, Kind::string> {};
template <>
struct Codec<Bytes> : Plain<Bytes, Kind::size> {};
template <>
struct Codec<Duration> : Plain<Duration, Kind::duration> {};
template <>
struct Codec<std::filesystem::path> : Plain<std::filesystem::path, Kind::path> {};
template <>
struct Codec<InputPath> : Plain<InputPath, Kind::input_path> {};
template <>
struct Codec<Table> : Plain<Table, Kind::table> {};

template <class T>
struct Codec<std::vector<T>> {
  static Type type() {
    Type t = Codec<T>::type();
    t.list = true;
    return t;
  }
  static std::vector<T> from(const Value& v) {
    std::vector<T> out;
    for (const Value& item : std::get<List>(v.v)) out.push_back(Codec<T>::from(item));
    return out;
  }
  static Value to(const std::vector<T>& items) {
    List out;
    for (const T& item : items) out.push_back(Codec<T>::to(item));
    return Value{out};
  }
};

template <class T>
struct Codec<std::optional<T>> {  // "not given" is a state of its own: the parameter has no default
  static Type type() { return Codec<T>::type(); }
  static std::optional<T> from(const Value& v) { return Codec<T>::from(v); }
  static Value to(const std::optional<T>& t) { return t ? Codec<T>::to(*t) : Value{Table{}}; }
};

}  // namespace detail

template <class P>
class Schema {
 public:
  struct Field {
    Param param;
    std::function<void(P&, const Value&)> set;

    template <class T>
    Field(std::string name, T P::*member, std::string doc, Need need = Need::optional)
        : param{.name = std::move(name),
                .doc = std::move(doc),
                .type = detail::Codec<T>::type(),
                .required = need == Need::required,
                .fallback = detail::Codec<T>::to(P{}.*member),
                .secret = need == Need::secret},
          set([member](P& p, const Value& v) { p.*member = detail::Codec<T>::from(v); }) {}

    /// A string that must be one of `choices`.
    Field(std::string name, std::string P::*member, std::vector<std::string> choices, std::string doc,
          Need need = Need::optional)
        : Field(std::move(name), member, std::move(doc), need) {
      param.choices = std::move(choices);
    }
  };

  Schema(std::initializer_list<Field> fields) : fields_(fields) {}

  std::vector<Param> params() const {
    std::vector<Param> all;
    for (const Field& f : fields_) all.push_back(f.param);
    return all;
  }

  /// Values must have been validated against params(); what is absent keeps the struct's initialiser.
  P bind(const Table& values) const {
    P p{};
    for (const Field& f : fields_)
      if (const auto it = values.find(f.param.name); it != values.end()) f.set(p, it->second);
    return p;
  }

 private:
  std::vector<Field> fields_;
};

/// A struct of parameters inside a list, such as `users = [{ name = "a" }]`, says its fields with
/// `static const Schema<T>& schema();`.
template <class T>
concept Record = requires {
  { T::schema() } -> std::convertible_to<const Schema<T>&>;
};

namespace detail {
template <Record T>
struct Codec<T> {
  static Type type() { return {Kind::record, false, T::schema().params()}; }
  static T from(const Value& v) { return T::schema().bind(std::get<Table>(v.v)); }
  static Value to(const T&) { return Value{Table{}}; }
};
}  // namespace detail

}  // namespace kiln
