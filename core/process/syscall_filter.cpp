#include "process/syscall_filter.h"

#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include <kiln/error.h>

namespace kiln {
namespace {

using Filter = std::unique_ptr<void, decltype(&seccomp_release)>;

void expect(int result) {
  if (result < 0) throw system_error("cannot make a filter of system calls", -result);
}

void deny(const Filter& filter, std::initializer_list<int> calls) {
  for (const int call : calls) expect(seccomp_rule_add_array(filter.get(), SCMP_ACT_ERRNO(EPERM), call, 0, nullptr));
}

void deny_when(const Filter& filter, int error, int call, const scmp_arg_cmp& when) {
  expect(seccomp_rule_add_array(filter.get(), SCMP_ACT_ERRNO(static_cast<unsigned>(error)), call, 1, &when));
}

/// Root's processes are not counted by RLIMIT_NPROC, so none may be made. A thread is a clone(2) with CLONE_THREAD.
/// clone3(2) has its flags in memory, where a filter cannot look: the C library then takes clone(2).
void deny_processes(const Filter& filter) {
  deny(filter, {SCMP_SYS(fork), SCMP_SYS(vfork)});
  deny_when(filter, EPERM, SCMP_SYS(clone), {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0});
  expect(seccomp_rule_add_array(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, nullptr));
}

}  // namespace

Fd syscall_filter() {
  const Filter filter(seccomp_init(SCMP_ACT_ALLOW), seccomp_release);
  if (!filter) throw Error("cannot make a filter of system calls");
  deny_processes(filter);
  deny(filter, {SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_getfd),
                SCMP_SYS(kcmp), SCMP_SYS(process_madvise)});
  deny(filter,
       {SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(unshare), SCMP_SYS(setns),
        SCMP_SYS(open_tree), SCMP_SYS(move_mount), SCMP_SYS(fsopen), SCMP_SYS(fsconfig), SCMP_SYS(fsmount),
        SCMP_SYS(fspick), SCMP_SYS(mount_setattr), SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at)});
  deny(filter,
       {SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl), SCMP_SYS(bpf), SCMP_SYS(perf_event_open),
        SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
        SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load), SCMP_SYS(reboot),
        SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(acct), SCMP_SYS(quotactl), SCMP_SYS(syslog)});
  deny_when(filter, EAFNOSUPPORT, SCMP_SYS(socket), {0, SCMP_CMP_NE, AF_UNIX, 0});
  Fd file = lifted(::memfd_create("kiln-filter", MFD_CLOEXEC));
  if (!file) throw_errno("cannot make a file in memory");
  expect(seccomp_export_bpf(filter.get(), file.get()));
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

}  // namespace kiln
