// What an extractor process gives up: it parses bytes from strangers, so a hole in a decoder must lead nowhere.
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <vector>

#include "failure.h"

namespace facet {
namespace {

#if defined(__x86_64__)
constexpr uint32_t architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t architecture = AUDIT_ARCH_AARCH64;
#else
#error "The system call filter knows x86_64 and aarch64."
#endif

/// Memory, the two pipes, time and leaving; no path, socket, process or signal to another.
constexpr uint32_t calls_allowed[] = {
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_close, SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise,
    SYS_brk, SYS_futex, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_restart_syscall, SYS_exit,
    SYS_exit_group, SYS_clock_gettime, SYS_gettimeofday, SYS_getrandom, SYS_getrusage, SYS_getpid, SYS_gettid,
    SYS_sched_yield, SYS_sched_getaffinity,
};

[[noreturn]] void fail(const char *what) {
    throw Failure(FACET_RESOURCE, std::string("sandbox: ") + what + ": " + std::strerror(errno));
}

void limit(__rlimit_resource resource, rlim_t value, const char *what) {
    struct rlimit now = {};
    if (getrlimit(resource, &now) != 0) fail(what);
    if (now.rlim_max != RLIM_INFINITY && now.rlim_max < value) value = now.rlim_max;
    const struct rlimit lower = {value, value};
    if (setrlimit(resource, &lower) != 0) fail(what);
}

void set(int option, unsigned long value, const char *what) {
    if (prctl(option, value, 0, 0, 0) != 0) fail(what);
}

/// A container may hold root back from changing user; it has then taken the capabilities itself.
void leave_root(const facet_sandbox &sandbox) {
    if (geteuid() != 0) return;
    const bool left = setgroups(0, nullptr) == 0 && setresgid(sandbox.group, sandbox.group, sandbox.group) == 0 &&
                      setresuid(sandbox.user, sandbox.user, sandbox.user) == 0;
    if (!left && errno != EPERM) fail("user");
}

sock_filter load(size_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, uint32_t(offset)); }
sock_filter answer(uint32_t action) { return BPF_STMT(BPF_RET | BPF_K, action); }
sock_filter unless(uint32_t value, uint8_t skip) { return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip); }

/// Calls outside the list answer EPERM rather than kill, since the C library asks the system for hints it can miss.
bool filter_calls() {
    std::vector<sock_filter> program = {
        load(offsetof(seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture, 1, 0),
        answer(SECCOMP_RET_KILL_PROCESS),
        load(offsetof(seccomp_data, nr)),
    };
    for (uint32_t call : calls_allowed) {
        program.push_back(unless(call, 1));
        program.push_back(answer(SECCOMP_RET_ALLOW));
    }
    // Own limits may be moved below their hard bound; another process's may not.
    program.push_back(unless(SYS_prlimit64, 3));
    program.push_back(load(offsetof(seccomp_data, args)));
    program.push_back(unless(0, 1));
    program.push_back(answer(SECCOMP_RET_ALLOW));
    program.push_back(answer(SECCOMP_RET_ERRNO | EPERM));
    const sock_fprog filter = {static_cast<unsigned short>(program.size()), program.data()};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0;
}

}  // namespace
}  // namespace facet

int facet_sandbox_prepare(const facet_sandbox *sandbox, facet_error *error) {
    return facet::guarded(error, [&] {
        if (syscall(SYS_close_range, 3U, ~0U, 0U) != 0 && errno != ENOSYS) facet::fail("descriptors");
        facet::limit(RLIMIT_AS, sandbox->memory_bytes_max, "memory");
        facet::limit(RLIMIT_CORE, 0, "core dumps");
    });
}

int facet_sandbox_enter(const facet_sandbox *sandbox, uint32_t *in_force, facet_error *error) {
    return facet::guarded(error, [&] {
        // A write to standard error that is a file fails then; it must not kill.
        std::signal(SIGXFSZ, SIG_IGN);
        facet::limit(RLIMIT_NOFILE, 0, "descriptors");
        facet::limit(RLIMIT_FSIZE, 0, "file size");
        facet::leave_root(*sandbox);
        facet::limit(RLIMIT_NPROC, 0, "threads");
        facet::set(PR_SET_DUMPABLE, 0, "dumps");
        // After the change of user, which clears it.
        facet::set(PR_SET_PDEATHSIG, SIGKILL, "death with the parent");
        facet::set(PR_SET_NO_NEW_PRIVS, 1, "privileges");
        *in_force = (geteuid() != 0 ? uint32_t(FACET_SANDBOX_UNPRIVILEGED) : 0) |
                    (facet::filter_calls() ? uint32_t(FACET_SANDBOX_FILTERED) : 0);
    });
}

int facet_sandbox_allow_cpu(uint32_t seconds, facet_error *error) {
    return facet::guarded(error, [&] {
        struct rusage used = {};
        struct rlimit cpu = {};
        if (getrusage(RUSAGE_SELF, &used) != 0 || getrlimit(RLIMIT_CPU, &cpu) != 0) facet::fail("processor time");
        cpu.rlim_cur = rlim_t(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + seconds + 1;
        if (cpu.rlim_max != RLIM_INFINITY && cpu.rlim_cur > cpu.rlim_max) cpu.rlim_cur = cpu.rlim_max;
        if (setrlimit(RLIMIT_CPU, &cpu) != 0) facet::fail("processor time");
    });
}

int facet_pipe(int32_t ends[2]) { return pipe2(ends, O_CLOEXEC) == 0 ? 0 : errno; }
