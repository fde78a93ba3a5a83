// SPDX-License-Identifier: Apache-2.0
// Claims: of two threads that each store a word and then load the other's, at least one sees the other's store, although
// one of them has no barrier between, if the other asks for one in every thread; the first call, and the first in a child,
// asks for leave; what the kernel refuses is a value, each step of it.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "tests/os_script/os_script.h"
#include "tests/support/shared_memory.h"

import strata.platform;

namespace {

using strata::platform::os_error;
using strata::platform::process_barrier;
using strata::test::os_call;
using strata::test::os_script;

// Soon, if the other thread runs; and it does.
void wait_for(const std::atomic<int>& value, int wanted) {
  for (int tries = 1; value.load(std::memory_order_acquire) != wanted; ++tries) {
    if (tries % 1000 == 0) std::this_thread::yield();
  }
}

// Dekker's question, many times, at moments that shift. Without the barrier both see nothing in some hundred rounds, when both
// threads have a processor.
TEST(Barrier, StandsInForTheOneTheOtherThreadLacks) {
  constexpr int rounds = 5'000;
  std::atomic<int> cheap{0};
  std::atomic<int> dear{0};
  std::atomic<int> round{0};
  std::atomic<int> seen_by_cheap{0};
  std::atomic<int> done{0};
  ASSERT_FALSE(process_barrier().failed());
  std::thread other([&] {
    for (int n = 1; n <= rounds; ++n) {
      wait_for(round, n);
      cheap.store(n, std::memory_order_relaxed);
      std::atomic_signal_fence(std::memory_order_seq_cst);
      seen_by_cheap.store(dear.load(std::memory_order_relaxed), std::memory_order_relaxed);
      done.store(n, std::memory_order_release);
    }
  });
  int both_blind = 0;
  for (int n = 1; n <= rounds; ++n) {
    round.store(n, std::memory_order_release);
    for (volatile int wait = n % 128; wait > 0; wait = wait - 1) continue;
    dear.store(n, std::memory_order_relaxed);
    const bool passed = !process_barrier().failed();
    const int seen = cheap.load(std::memory_order_relaxed);
    wait_for(done, n);
    if (!passed || (seen != n && seen_by_cheap.load(std::memory_order_relaxed) != n)) ++both_blind;
  }
  other.join();
  EXPECT_EQ(both_blind, 0);
}

TEST(Barrier, WorksInAChild) {
  ASSERT_FALSE(process_barrier().failed());
  EXPECT_EQ(strata::test::in_child([] { return process_barrier().failed() ? 1 : 0; }), 0);
}

TEST(Barrier, AsksForLeaveWhereItHasNone) {
  os_script script;
  script.fail(os_call::membarrier, 1, EPERM);
  EXPECT_FALSE(process_barrier().failed());
  EXPECT_EQ(script.calls(os_call::membarrier), 3U);
}

TEST(Barrier, SaysWhatIsRefused) {
  ASSERT_FALSE(process_barrier().failed());
  for (const int code : {ENOSYS, EINVAL, ENOMEM}) {
    os_script script;
    script.fail(os_call::membarrier, 1, code);
    const os_error refused = process_barrier();
    EXPECT_STREQ(refused.call, "membarrier");
    EXPECT_EQ(refused.code, code);
    EXPECT_EQ(script.calls(os_call::membarrier), 1U);
  }
  {
    os_script script;
    script.fail(os_call::membarrier, 1, EPERM);
    script.fail(os_call::membarrier, 2, EINVAL);
    EXPECT_EQ(process_barrier().code, EINVAL) << "no leave";
  }
  os_script script;
  script.fail_always(os_call::membarrier, EPERM);
  EXPECT_EQ(process_barrier().code, EPERM) << "a filter";
}

}  // namespace
