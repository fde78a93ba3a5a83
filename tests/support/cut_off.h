// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <source_location>
#include <string>

/// A child process that is cut off from every source of memory while threads of it work. What has all it needs goes on.
///
///     const cut_off_outcome seen = in_cut_off_child([](cut_off& here) {
///       my_pool pool;                                     // still free to take what it wants
///       here.run(4, [&](unsigned thread) { work_with(pool, thread); });
///     });
///     EXPECT_EQ(seen.said, "");                           // "system call 9 (mmap) by thread 2"
///
/// Once all threads have arrived,
///   the heap         counts and refuses every request of malloc and operator new (heap_cut.h)
///   RLIMIT_AS        is 0: no mapping is made and none grows, nor does a stack
///   system calls     other than those that wait and those that end the process end it with a sentence (seccomp)
///
/// Sanitizers need the kernel while they watch: ASan and TSan map shadow, so that RLIMIT_AS stays as it is under them.
/// Calls that the program's own text makes are let through then: a runtime is linked into it, while the program's calls
/// are made by the C library.
namespace strata::test {

/// What a child did.
struct cut_off_outcome {
  int status = -1;                ///< 0 when all went well; else its exit status, or 1000 and its signal
  std::string said;               ///< what went wrong first
  std::size_t heap_requests = 0;  ///< refused while cut off
  std::size_t exceptions = 0;     ///< that the child says it caught (cut_off::caught)
  long minor_faults = 0;          ///< of all threads, from when they were let go until the last was through
  long major_faults = 0;
};

class cut_off {
 public:
  using job = std::function<void(unsigned thread)>;

  /// Starts threads 0, 1, … `threads` - 1, which do `before` each; cuts everything off when all are through with that,
  /// lets them do `work`, has this thread do `after` when the last is through, and ends the process, with success.
  [[noreturn]] void run(
      unsigned threads, const job& work, const std::function<void()>& after = [] {},
      const job& before = [](unsigned) {});

  /// Touches every page this process may use by now, so that it is in its page table: code that has not run yet, and
  /// what fork() left to be copied. What is made afterwards, and faults, does so of its own.
  static void touch_all();

  /// Says that one exception more was thrown and caught: one more request of the heap is expected.
  void caught() noexcept { exceptions_.fetch_add(1, std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t> exceptions_{0};
};

/// Ends a cut-off child with a sentence and the caller's line unless `holds`. Needs no memory.
void demand(bool holds, const char* sentence, std::source_location where = std::source_location::current()) noexcept;

/// Runs `body` in a child.
[[nodiscard]] cut_off_outcome in_cut_off_child(const std::function<void(cut_off&)>& body);

}  // namespace strata::test
