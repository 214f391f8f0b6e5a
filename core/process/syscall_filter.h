#pragma once
// What a program in the sandbox may not ask of the kernel.

#include "process/spawn.h"

namespace kiln {

/// The filter as a file of BPF instructions, at its start: what bwrap --seccomp reads. Denied are new processes
/// (threads are not), tracing and memory of others, mounting and namespaces, sockets other than Unix ones, keys, kernel
/// modules, BPF, io_uring and what else a reader of files never needs; the caller sees EPERM. Programs that are for
/// another architecture than kiln are killed. Throws Error when the library makes no filter.
Fd syscall_filter();

}  // namespace kiln
