// bench_measure PROGRAM ARGS…: runs it and prints "seconds peak-memory-in-KiB bytes-read bytes-written" on stderr's
// last line. The bytes are those of read() and write() in all manners, wherever they came from and went to, by the
// program itself. Fails as it fails.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>

namespace {

/// A line of /proc/PID/io, of a process that has ended and was not waited for.
long long counted(pid_t process, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(process) + "/io");
  std::string word;
  for (long long value = 0; file >> word >> value;)
    if (word == name) return value;
  return -1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: bench_measure PROGRAM ARGS\n"), 2;
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child == 0) {
    ::execvp(argv[1], argv + 1);
    ::_exit(127);
  }
  siginfo_t ended{};
  if (::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) != 0) return 1;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  const long long read = counted(child, "rchar:"), written = counted(child, "wchar:");
  int status = 0;
  rusage usage{};
  if (::wait4(child, &status, 0, &usage) != child) return 1;
  std::fprintf(stderr, "%.3f %ld %lld %lld\n", took.count(), usage.ru_maxrss, read, written);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
