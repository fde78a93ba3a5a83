// SPDX-License-Identifier: Apache-2.0
#include "tests/support/cut_off.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <latch>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/heap_cut.h"
#include "tests/support/sanitizer.h"

// Where the program's text begins and ends: the linker gives these names.
extern "C" const char __executable_start, etext;  // NOLINT(bugprone-reserved-identifier)

// A runtime that has something to report in a child that is cut off must do so alone: no process that finds names for
// addresses, no look at the terminal. `llvm-symbolizer -e program` finds them later.
// NOLINTBEGIN(bugprone-reserved-identifier): the runtimes' names.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "symbolize=0:color=never"; }
extern "C" const char* __ubsan_default_options();
extern "C" const char* __ubsan_default_options() { return "symbolize=0:color=never"; }
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() { return "symbolize=0:color=never"; }
// NOLINTEND(bugprone-reserved-identifier)

namespace strata::test {
namespace {

// ASan and TSan map shadow for what they see; UBSan asks the kernel whether there can be a virtual table where one should
// be.
constexpr bool runtime_needs_memory = under_asan || under_tsan;
constexpr bool runtime_asks_kernel = runtime_needs_memory || under_ubsan;

// What the child tells, in a page it shares with its parent.
struct board {
  std::atomic<bool> told{false};
  std::array<char, 400> said{};
  std::size_t heap_requests = 0;
  std::size_t exceptions = 0;
  long minor_faults = 0;
  long major_faults = 0;
};
constinit board* told = nullptr;
constinit std::size_t requests_before = 0;
constinit thread_local int thread_here = -1;

[[noreturn]] void end(int status) noexcept {
  told->heap_requests = heap_requests_refused() - requests_before;
  // Not _exit(), where TSan waits a second for threads that do not end.
  for (;;) ::syscall(SYS_exit_group, status);
}

[[noreturn, gnu::format(printf, 1, 2)]] void end_saying(const char* format, ...) noexcept {
  while (told->told.exchange(true)) told->told.wait(true);  // another thread is about to end the process
  std::va_list figures;
  va_start(figures, format);
  std::vsnprintf(told->said.data(), told->said.size(), format, figures);
  va_end(figures);
  end(1);
}

// --- system calls ----------------------------------------------------------------------------------------------------

#if defined(__x86_64__)
constexpr std::uint32_t architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t architecture = AUDIT_ARCH_AARCH64;
#else
#error "which AUDIT_ARCH_ is this?"
#endif

struct call {
  int number;
  const char* name;
};

// Waiting for another thread, the end, and what this harness asks itself. ASan asks the C library about the signal stack
// whenever a stack is unwound, UBSan for a pipe, by which it finds out whether memory can be read. Neither is memory.
constexpr std::array allowed{SYS_futex,
                             SYS_sched_yield,
                             SYS_restart_syscall,
                             SYS_exit_group,
                             SYS_getrusage,
                             under_asan ? SYS_sigaltstack : SYS_futex,
                             under_ubsan ? SYS_pipe2 : SYS_futex};

// For the message. Others have a number.
constexpr std::array<call, 16> known{{{SYS_mmap, "mmap"},
                                      {SYS_munmap, "munmap"},
                                      {SYS_mremap, "mremap"},
                                      {SYS_brk, "brk"},
                                      {SYS_madvise, "madvise"},
                                      {SYS_mprotect, "mprotect"},
                                      {SYS_mlock, "mlock"},
                                      {SYS_mlock2, "mlock2"},
                                      {SYS_munlock, "munlock"},
                                      {SYS_mincore, "mincore"},
                                      {SYS_shmget, "shmget"},
                                      {SYS_shmat, "shmat"},
                                      {SYS_openat, "openat"},
                                      {SYS_write, "write"},
                                      {SYS_clone3, "clone3"},
                                      {SYS_prctl, "prctl"}}};

const char* name_of(int number) noexcept {
  const auto* const found = std::find_if(known.begin(), known.end(), [&](const call& c) { return c.number == number; });
  return found == known.end() ? "look it up" : found->name;
}

[[noreturn]] void refuse_call(int, siginfo_t* about, void*) {
  end_saying("system call %d (%s) by thread %d", about->si_syscall, name_of(about->si_syscall), thread_here);
}

constexpr std::uint32_t low(std::uint64_t word) { return static_cast<std::uint32_t>(word); }
constexpr std::uint32_t high(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); }

// A program for the kernel: which calls may be made, and from where.
class call_filter {
 public:
  call_filter() {
    load(offsetof(seccomp_data, arch));
    skip_if(BPF_JEQ, architecture, 1, 0);
    decide(SECCOMP_RET_KILL_PROCESS);
    load(offsetof(seccomp_data, nr));
    for (const long number : allowed) {
      skip_if(BPF_JEQ, static_cast<std::uint32_t>(number), 0, 1);
      decide(SECCOMP_RET_ALLOW);
    }
    if (runtime_asks_kernel) {
      allow_from(reinterpret_cast<std::uintptr_t>(&__executable_start), reinterpret_cast<std::uintptr_t>(&etext));
    }
    decide(SECCOMP_RET_TRAP);
  }

  // For the calling thread alone: a runtime may have threads of its own.
  void install() const noexcept {
    const sock_fprog program{.len = static_cast<unsigned short>(steps_.size()),
                             .filter = const_cast<sock_filter*>(steps_.data())};
    demand(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS is refused");
    demand(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0, "a seccomp filter is refused");
  }

 private:
  void add(int code, std::uint32_t k, std::uint8_t if_true = 0, std::uint8_t if_false = 0) {
    steps_.push_back({.code = static_cast<std::uint16_t>(code), .jt = if_true, .jf = if_false, .k = k});
  }
  void load(std::size_t offset) { add(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)); }
  void skip_if(int test, std::uint32_t value, std::uint8_t if_true, std::uint8_t if_false) {
    add(BPF_JMP | test | BPF_K, value, if_true, if_false);
  }
  void decide(std::uint32_t verdict) { add(BPF_RET | BPF_K, verdict); }

  // Calls made by instructions in [begin, end). The machine compares 32 bits: one piece for each upper half.
  void allow_from(std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t to = 0; begin < end; begin = to) {
      to = std::min(end, (begin | 0xffff'ffffU) + 1);
      constexpr std::size_t ip = offsetof(seccomp_data, instruction_pointer);  // its lower half, on these machines
      load(ip + 4);
      skip_if(BPF_JEQ, high(begin), 0, 4);
      load(ip);
      skip_if(BPF_JGE, low(begin), 0, 2);
      skip_if(BPF_JGT, low(to - 1), 1, 0);
      decide(SECCOMP_RET_ALLOW);
    }
  }

  std::vector<sock_filter> steps_;
};

// --- the cut ---------------------------------------------------------------------------------------------------------

// A stack does not grow any more, and the first touch of a page of it would count as a fault of the work.
[[gnu::noinline]] void touch_stack() noexcept {
  std::array<volatile char, std::size_t{128} << 10> room;
  for (std::size_t i = 0; i < room.size(); i += 512) room[i] = 0;
}

// Exceptions that malloc has no memory for lie in a pool of the C++ runtime's, whose pages are still the parent's. Throws
// as many at a time as a crew may.
[[gnu::noinline]] void touch_exception_pool(int depth) noexcept {
  try {
    throw std::array<char, 1024>{};
  } catch (const std::array<char, 1024>&) {
    if (depth > 1) touch_exception_pool(depth - 1);
  }
}

rusage usage() noexcept {
  rusage now{};
  ::getrusage(RUSAGE_SELF, &now);
  return now;
}

void cut_address_space() noexcept {
  if (runtime_needs_memory) return;
  const rlimit none{0, 0};
  demand(::setrlimit(RLIMIT_AS, &none) == 0, "RLIMIT_AS cannot be lowered");
}

void say_which_call_is_refused() noexcept {
  struct sigaction action{};
  action.sa_sigaction = refuse_call;
  action.sa_flags = SA_SIGINFO;
  demand(::sigaction(SIGSYS, &action, nullptr) == 0, "SIGSYS cannot be caught");
}

}  // namespace

void demand(bool holds, const char* sentence, std::source_location where) noexcept {
  if (holds) return;
  end_saying("line %u: %s (thread %d)", static_cast<unsigned>(where.line()), sentence, thread_here);
}

void cut_off::touch_all() {
  std::ifstream maps("/proc/self/maps");  // begin-end rwxp offset device inode path
  for (std::string line; std::getline(maps, line);) {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::array<char, 5> rights{};
    if (std::sscanf(line.c_str(), "%zx-%zx %4s", &begin, &end, rights.data()) != 3 || rights[0] != 'r') continue;
    // What the kernel has a name for, such as [vvar], cannot be populated, and need not be.
    (void)::madvise(reinterpret_cast<void*>(begin), end - begin,
                    rights[1] == 'w' ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
  }
}

void cut_off::run(unsigned threads, const job& work, const std::function<void()>& after, const job& before) {
  say_which_call_is_refused();
  const call_filter filter;
  std::latch arrived(threads);
  std::latch gate(1);
  std::latch through(threads);
  std::latch never(1);
  std::vector<std::thread> crew;
  for (unsigned i = 0; i < threads; ++i) {
    crew.emplace_back([&, i] {
      thread_here = static_cast<int>(i);
      touch_stack();
      before(i);
      filter.install();
      arrived.count_down();
      gate.wait();
      try {
        work(i);
      } catch (...) {
        demand(false, "an exception left the work");
      }
      through.count_down();
      never.wait();  // ending would give back a stack
    });
  }
  touch_stack();
  arrived.wait();

  cut_address_space();
  shut_heap();
  touch_exception_pool(8);
  requests_before = heap_requests_refused();
  const rusage begin = usage();
  filter.install();
  gate.count_down();
  through.wait();
  const rusage end_of_work = usage();
  told->minor_faults = end_of_work.ru_minflt - begin.ru_minflt;
  told->major_faults = end_of_work.ru_majflt - begin.ru_majflt;
  after();
  told->exceptions = exceptions_.load();
  end(0);
}

cut_off_outcome in_cut_off_child(const std::function<void(cut_off&)>& body) {
  void* const page = ::mmap(nullptr, sizeof(board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return {.said = "no page to share with a child"};
  told = ::new (page) board;
  const pid_t child = ::fork();
  if (child == 0) {
    cut_off here;
    body(here);
    end_saying("%s", "it was never cut off");
  }
  int status = 0;
  cut_off_outcome seen;
  if (child > 0 && ::waitpid(child, &status, 0) == child) {
    seen = {.status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status),
            .said = told->said.data(),
            .heap_requests = told->heap_requests,
            .exceptions = told->exceptions,
            .minor_faults = told->minor_faults,
            .major_faults = told->major_faults};
  } else {
    seen.said = "no child";
  }
  told = nullptr;
  ::munmap(page, sizeof(board));
  return seen;
}

}  // namespace strata::test
