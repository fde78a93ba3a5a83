// SPDX-License-Identifier: Apache-2.0
// Claims:
//  * prepare runs in descending rank, parent and child in the exact reverse, hooks of one rank as registered; null
//  calls are left out
//  * a cancelled hook is not called; registering twice changes nothing
//  * a fork that fails calls parent
//  * locks taken in prepare by rank are free in the child, whatever other threads were doing
//  * hooks may be registered and cancelled by any thread while others fork
//  * what the OS refuses is told and may be tried again
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <iterator>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/os_script/os_script.h"

import strata.platform;

namespace {

using strata::platform::at_fork;
using strata::platform::cancel;
using strata::platform::fork_hook;

/// What was called, in order: "p3" is prepare of the hook called 3, "P3" parent, "c3" child.
std::string calls;

struct named {
  char name;
};

void note_prepare(void* who) noexcept { (calls += 'p') += static_cast<named*>(who)->name; }
void note_parent(void* who) noexcept { (calls += 'P') += static_cast<named*>(who)->name; }
void note_child(void* who) noexcept { (calls += 'c') += static_cast<named*>(who)->name; }
constexpr fork_hook::calls kNoteAll{note_prepare, note_parent, note_child};

/// Forks with the hooks as they are. Returns the calls made in the parent, sets `in_child` to those made in the child.
std::string fork_once(std::string& in_child) {
  int pipe_ends[2];
  if (::pipe(pipe_ends) != 0) return "no pipe";
  calls.clear();
  const pid_t child = ::fork();
  if (child == 0) {
    const bool written = ::write(pipe_ends[1], calls.data(), calls.size()) == static_cast<ssize_t>(calls.size());
    ::_exit(written ? 0 : 1);
  }
  ::close(pipe_ends[1]);
  in_child.clear();
  char byte = 0;
  while (::read(pipe_ends[0], &byte, 1) == 1) in_child += byte;
  ::close(pipe_ends[0]);
  int status = -1;
  if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0) return "no child";
  return calls;
}

TEST(Fork, PreparesInDescendingRankAndUndoesInTheReverse) {
  named a{'1'};
  named b{'2'};
  named c{'3'};
  fork_hook one(10, kNoteAll, &a);
  fork_hook two(20, kNoteAll, &b);
  fork_hook three(30, kNoteAll, &c);
  for (fork_hook* hook : {&two, &three, &one}) ASSERT_FALSE(at_fork(*hook).failed());
  std::string in_child;
  EXPECT_EQ(fork_once(in_child), "p3p2p1P1P2P3");
  EXPECT_EQ(in_child, "p3p2p1c1c2c3");
  EXPECT_TRUE(cancel(two));
  EXPECT_FALSE(cancel(two));
  EXPECT_EQ(fork_once(in_child), "p3p1P1P3");
  EXPECT_TRUE(cancel(three));
  EXPECT_EQ(fork_once(in_child), "p1P1");
  ASSERT_FALSE(at_fork(three).failed());
  EXPECT_TRUE(cancel(one));
  EXPECT_EQ(fork_once(in_child), "p3P3");
  EXPECT_TRUE(cancel(three));
  EXPECT_EQ(fork_once(in_child), "");
  EXPECT_EQ(in_child, "");
}

TEST(Fork, HooksOfOneRankArePreparedLastRegisteredFirst) {
  named a{'1'};
  named b{'2'};
  named c{'3'};
  fork_hook one(-5, kNoteAll, &a);
  fork_hook two(-5, kNoteAll, &b);
  fork_hook three(-5, kNoteAll, &c);
  for (fork_hook* hook : {&one, &two, &three}) ASSERT_FALSE(at_fork(*hook).failed());
  std::string in_child;
  EXPECT_EQ(fork_once(in_child), "p3p2p1P1P2P3");
  EXPECT_EQ(in_child, "p3p2p1c1c2c3");
  for (fork_hook* hook : {&one, &two, &three}) EXPECT_TRUE(cancel(*hook));
}

TEST(Fork, LeavesOutWhatIsNullAndCallsOnceWhatIsRegisteredTwice) {
  named a{'1'};
  named b{'2'};
  fork_hook only_child(1, {.child = note_child}, &a);
  fork_hook only_parent(2, {.parent = note_parent}, &b);
  for (fork_hook* hook : {&only_child, &only_parent, &only_child}) ASSERT_FALSE(at_fork(*hook).failed());
  std::string in_child;
  EXPECT_EQ(fork_once(in_child), "P2");
  EXPECT_EQ(in_child, "c1");
  for (fork_hook* hook : {&only_child, &only_parent}) EXPECT_TRUE(cancel(*hook));
}

void take(void* mutex) noexcept { static_cast<std::mutex*>(mutex)->lock(); }
void leave(void* mutex) noexcept { static_cast<std::mutex*>(mutex)->unlock(); }
constexpr fork_hook::calls kGuard{take, leave, leave};

TEST(Fork, ChildrenFindEveryLockFreeAndWhatItGuardsWhole) {
  // Locks are nested high before low, as ranks say; each thread keeps a pair of numbers equal under both.
  std::mutex high;
  std::mutex low;
  long first = 0;
  long second = 0;
  fork_hook guard_low(1, kGuard, &low);
  fork_hook guard_high(2, kGuard, &high);
  ASSERT_FALSE(at_fork(guard_low).failed());
  ASSERT_FALSE(at_fork(guard_high).failed());

  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      while (!stop) {
        const std::scoped_lock outer(high);
        ++first;
        const std::scoped_lock inner(low);
        ++second;
      }
    });
  }
  for (int i = 0; i < 50; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      high.lock();
      low.lock();
      ::_exit(first == second ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(cancel(guard_low));
  EXPECT_TRUE(cancel(guard_high));
}

void count(void* counter) noexcept { static_cast<std::atomic<int>*>(counter)->fetch_add(1); }

TEST(Fork, HooksComeAndGoWhileOthersFork) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  std::atomic<int> balance{0};  // prepares less parents: 0 whenever no fork is under way
  const auto uncount = [](void* counter) noexcept { static_cast<std::atomic<int>*>(counter)->fetch_sub(1); };
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      while (!stop) {
        fork_hook mine(t, {.prepare = count, .parent = uncount}, &balance);
        EXPECT_FALSE(at_fork(mine).failed());
        EXPECT_TRUE(cancel(mine));
      }
    });
  }
  for (int i = 0; i < 50; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) ::_exit(0);
    EXPECT_EQ(balance, 0);
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(balance, 0);
}

// The handlers are installed once in a process, and a process that must not fork is of no use to others: processes of
// their own.
class ForkDeathTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(ForkDeathTest, IsRefusedWhereHandlersCannotBeInstalledAndMayBeTriedAgain) {
  const auto body = [] {
    named a{'1'};
    fork_hook hook(1, kNoteAll, &a);
    strata::test::os_script script;
    script.fail(strata::test::os_call::pthread_atfork, 1, ENOMEM);
    const auto refused = at_fork(hook);
    if (refused.code != ENOMEM || std::string(refused.call) != "pthread_atfork" || cancel(hook)) std::_Exit(1);
    if (at_fork(hook).failed()) std::_Exit(2);
    fork_hook another(2, kNoteAll, &a);
    if (at_fork(another).failed() || !cancel(another)) std::_Exit(3);
    if (script.calls(strata::test::os_call::pthread_atfork) != 2) std::_Exit(4);
    std::string in_child;
    if (fork_once(in_child) != "p1P1" || in_child != "p1c1") std::_Exit(5);
    std::_Exit(0);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(0), "");
}

/// From here on the kernel answers EAGAIN to every attempt to start a process or thread.
bool forbid_forks() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
  };
  sock_fprog filter{static_cast<unsigned short>(std::size(program)), program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0;
}

TEST_F(ForkDeathTest, AForkThatFailsCallsTheParent) {
  const auto body = [] {
    named a{'1'};
    named b{'2'};
    fork_hook one(1, kNoteAll, &a);
    fork_hook two(2, kNoteAll, &b);
    if (at_fork(one).failed() || at_fork(two).failed() || !forbid_forks()) std::_Exit(1);
    calls.clear();
    if (::fork() != -1) std::_Exit(2);
    if (calls != "p2p1P1P2") std::_Exit(3);
    std::_Exit(cancel(one) && cancel(two) ? 0 : 4);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(0), "");
}

}  // namespace
