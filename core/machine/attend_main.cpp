// kiln-attend NAME: see attend.h. Started by kiln for each instance, never by people.
#include <csignal>
#include <cstdio>
#include <exception>

#include "machine/attend.h"

int main() {
  // It is there to see QEMU end, so it must not end before: only what cannot be refused ends it.
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2}) std::signal(signal, SIG_IGN);
  try {
    kiln::attend(0, 1);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kiln-attend: %s\n", error.what());  // NOLINT: qemu.log
    return 1;
  }
}
