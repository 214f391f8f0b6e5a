// Where a kiln starts and ends: arguments in, exit code out, and every failure shown in one form.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <new>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/errors.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "cli/services.h"
#include "cli/signals.h"

namespace kiln::cli {
namespace {

/// Known before the command line is understood, because its errors are JSON too.
bool asks_for_json(const std::vector<std::string>& words) {
  const auto end = std::find(words.begin(), words.end(), "--");
  return std::find(words.begin(), end, "--json") != end;
}

int run_verb(const Parsed& parsed, Output& out) {
  if (parsed.verb == nullptr) {
    if (parsed.exit_code != 0 && out.json()) throw invalid("no command is given", "see kiln --help");
    if (parsed.exit_code != 0)
      std::fputs(parsed.text.c_str(), stderr);
    else
      out.raw(parsed.text);
    return parsed.exit_code;
  }
  const Signals signals;
  Services services(parsed.args, std::filesystem::read_symlink("/proc/self/exe"), signals.token());
  Call call{parsed.args, out, services, signals.token()};
  return parsed.verb->run(call);
}

int fail(const Error& error, Output& out) {
  if (out.json())
    out.object(error_json(error));
  else
    print_error(error);
  return static_cast<int>(error.failure());
}

int run(const std::vector<std::string>& words) {
  Output out(stdout, STDOUT_FILENO, asks_for_json(words));
  int exit_code = 0;
  try {
    exit_code = run_verb(parse_command_line(words, verbs()), out);
  } catch (const Error& error) {
    exit_code = fail(error, out);
  } catch (const std::bad_alloc&) {
    exit_code = fail(Error("out of memory", "close other programs, or give this host more memory"), out);
  } catch (const std::filesystem::filesystem_error& error) {
    exit_code = fail(system_error(error.path1().string(), error.code().value()), out);
  } catch (const std::exception& error) {
    exit_code =
        fail(Error(std::string("kiln itself failed: ") + error.what(), "please report it, with the command"), out);
  }
  try {
    out.flush();
  } catch (const Error& error) {
    print_error(error);
    return exit_code == 0 ? static_cast<int>(error.failure()) : exit_code;
  }
  return exit_code;
}

}  // namespace
}  // namespace kiln::cli

/// A daemon or a cron job may start us with closed standard streams: the next file opened would be taken for one.
static void open_standard_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF) (void)::open("/dev/null", O_RDWR);
}

int main(int argc, char** argv) {
  open_standard_streams();
  return kiln::cli::run(std::vector<std::string>(argv + 1, argv + std::max(argc, 1)));
}
