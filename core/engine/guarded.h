#pragma once
// The one place where exceptions of plugins are let in.

#include <exception>
#include <string>
#include <utility>

#include <kiln/error.h>

namespace kiln::engine {

/// Calls f(). An Error passes; anything else that a plugin lets out becomes an Error that names it.
template <class F>
decltype(auto) guarded(const std::string& plugin, F&& f) {
  try {
    return std::forward<F>(f)();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error("plugin \"" + plugin + "\" broke: " + error.what(), "this is a bug in the plugin: tell its author");
  } catch (...) {
    throw Error("plugin \"" + plugin + "\" broke with an exception that is no std::exception",
                "this is a bug in the plugin: tell its author");
  }
}

/// The same error with words before its text. Cancelling is nobody's fault and stays as it is.
inline Error prefixed(const std::string& prefix, const Error& error, const std::string& more_hint = {}) {
  if (error.failure() == Failure::cancelled || std::string(error.what()).starts_with(prefix)) return error;
  std::string hint = error.hint();
  if (!more_hint.empty()) hint += (hint.empty() ? "" : "; ") + more_hint;
  return Error(prefix + error.what(), std::move(hint), error.evidence(), error.failure()).as(error.code());
}

}  // namespace kiln::engine
