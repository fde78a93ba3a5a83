// SPDX-License-Identifier: Apache-2.0
// Claims:
//  * a fault calls back, on any thread, once, with signal, code and address; errno stays; a sent signal does not
//  * it then goes where it would have gone: to a handler of either kind, with its mask and flags, called once if that was
//    its wish; to the default action, by which the process dies of that signal; an ignored one likewise, if nobody sent it
//  * a fault of the callback goes to the earlier handler; the hook works on afterwards
//  * a handler installed later that passes on keeps the hook working, and is not disturbed by install and uninstall
//  * installing twice is installing once; a second callback is refused; threads may do it at will; a child has the hook
//  * refused by the OS, nothing has changed
//  * it is called on the thread's alternate stack, also when the ordinary one is used up
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <thread>
#include <vector>

#include "tests/os_script/os_script.h"
#include "tests/platform/faults.h"
#include "tests/support/sanitizer.h"
#include "tests/support/shared_memory.h"

import strata.platform;

namespace {

namespace platform = strata::platform;
using platform::memory_fault;
using strata::test::fault_seen;
using strata::test::in_child;
using strata::test::os_call;
using strata::test::os_script;
using strata::test::recovering_handler;

constexpr int kKilledBySegv = 1000 + SIGSEGV;

// TSan's runtime has handlers run with every signal blocked, whatever their mask says.
constexpr bool everything_is_blocked = strata::test::under_tsan;

std::atomic<int> calls{0};
thread_local memory_fault told;
thread_local bool told_on_alternate_stack = false;

bool on_alternate_stack() noexcept {
  stack_t now{};
  return ::sigaltstack(nullptr, &now) == 0 && (now.ss_flags & SS_ONSTACK) != 0;
}

void remember(const memory_fault& fault) noexcept {
  calls.fetch_add(1);
  told = fault;
  told_on_alternate_stack = on_alternate_stack();
  errno = EDOM;
}

void another(const memory_fault&) noexcept {}

/// A page that cannot be touched.
class forbidden_page {
 public:
  forbidden_page() : base_(static_cast<char*>(platform::reserve(bytes(), bytes()).base)) { EXPECT_NE(base_, nullptr); }
  ~forbidden_page() { EXPECT_FALSE(platform::unmap(base_, bytes()).failed()); }
  forbidden_page(const forbidden_page&) = delete;
  forbidden_page& operator=(const forbidden_page&) = delete;

  char* at(std::size_t offset) const { return base_ + offset; }
  void allow() const { static_cast<void>(platform::commit(base_, bytes())); }
  void forbid() const { static_cast<void>(platform::protect(base_, bytes(), platform::access::none)); }
  static std::size_t bytes() { return platform::page_size(); }

 private:
  char* base_;
};

__attribute__((disable_sanitizer_instrumentation, no_sanitize("all"))) void touch(volatile char* at) { *at = 1; }

using handler_with_info = void (*)(int, siginfo_t*, void*);

void set_action(int signal, handler_with_info handler, int flags, std::initializer_list<int> blocked = {}) {
  struct sigaction wanted{};
  wanted.sa_sigaction = handler;
  wanted.sa_flags = SA_SIGINFO | flags;
  for (const int other : blocked) sigaddset(&wanted.sa_mask, other);
  ASSERT_EQ(::sigaction(signal, &wanted, nullptr), 0);
}

struct sigaction action_of(int signal) {
  struct sigaction now{};
  EXPECT_EQ(::sigaction(signal, nullptr, &now), 0);
  return now;
}

// The first test, since it needs a process that never installed the hook.
TEST(FaultFirst, AForkHookThatIsRefusedIsARefusal) {
  const struct sigaction before = action_of(SIGSEGV);
  os_script script;
  script.fail_always(os_call::pthread_atfork, ENOMEM);
  const auto refused = platform::install_fault_hook(remember);
  EXPECT_STREQ(refused.call, "pthread_atfork");
  EXPECT_EQ(refused.code, ENOMEM);
  EXPECT_EQ(action_of(SIGSEGV).sa_sigaction, before.sa_sigaction);
}

/// The hook over a handler that survives faults.
struct Fault : testing::Test {
  Fault() {
    calls = 0;
    told = {};
    EXPECT_FALSE(platform::install_fault_hook(remember).failed());
  }
  ~Fault() override { EXPECT_FALSE(platform::uninstall_fault_hook().failed()); }

  recovering_handler below;
  forbidden_page page;
};

TEST_F(Fault, CallsBackOnceAndGoesOnToTheHandlerThatWasThere) {
  const fault_seen seen = recovering_handler::storing(page.at(40));
  EXPECT_EQ(seen.signal, SIGSEGV);
  EXPECT_EQ(seen.code, SEGV_ACCERR);
  EXPECT_EQ(seen.address, page.at(40));
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(told.signal, SIGSEGV);
  EXPECT_EQ(told.code, SEGV_ACCERR);
  EXPECT_EQ(told.address, page.at(40));
  EXPECT_NE(told.context, nullptr);
}

TEST_F(Fault, OfAnotherThreadCallsBackThere) {
  std::thread([&] {
    EXPECT_EQ(recovering_handler::loading(page.at(1)).address, page.at(1));
    EXPECT_EQ(told.address, page.at(1));
  }).join();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(told.address, nullptr) << "not here";
}

TEST_F(Fault, OfManyThreadsAtATimeCallsBackForEach) {
  constexpr int kThreads = 4;
  constexpr int kFaults = 200;
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kFaults; ++i) {
        ASSERT_EQ(recovering_handler::storing(page.at(t)).address, page.at(t));
        ASSERT_EQ(told.address, page.at(t));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(calls, kThreads * kFaults);
}

TEST_F(Fault, OfTheCallbackItselfGoesToTheEarlierHandlerAndTheHookWorksOn) {
  if (everything_is_blocked) GTEST_SKIP() << "the kernel ends a process that faults with the signal blocked";
  ASSERT_FALSE(platform::uninstall_fault_hook().failed());
  static char* where = nullptr;
  where = page.at(99);
  const auto faulty = [](const memory_fault&) noexcept {
    calls.fetch_add(1);
    touch(where);
  };
  ASSERT_FALSE(platform::install_fault_hook(faulty).failed());
  for (int round = 1; round <= 3; ++round) {
    const fault_seen seen = recovering_handler::loading(page.at(1));
    EXPECT_EQ(seen.address, page.at(99)) << "the callback's own";
    EXPECT_EQ(calls, round) << "not called for its own fault, and called again for the next";
  }
}

TEST_F(Fault, IsNotWhatSomebodySends) {
  recovering_handler::accessing([] { ::raise(SIGSEGV); });
  EXPECT_EQ(strata::test::inner::last_fault.signal, SIGSEGV) << "the handler gets it";
  EXPECT_EQ(calls, 0);
}

TEST_F(Fault, HookInstalledTwiceIsInstalledOnce) {
  EXPECT_FALSE(platform::install_fault_hook(remember).failed());
  recovering_handler::loading(page.at(1));
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(platform::uninstall_fault_hook().failed());
  recovering_handler::loading(page.at(1));
  EXPECT_EQ(calls, 1) << "one is enough";
  EXPECT_FALSE(platform::uninstall_fault_hook().failed());
}

TEST_F(Fault, SecondCallbackIsRefusedAndTheFirstStays) {
  const auto refused = platform::install_fault_hook(another);
  EXPECT_EQ(refused.code, EBUSY);
  recovering_handler::loading(page.at(1));
  EXPECT_EQ(calls, 1);
}

TEST_F(Fault, HookLeavesAsItFoundWhenUninstalled) {
  const struct sigaction ours = action_of(SIGSEGV);
  ASSERT_FALSE(platform::uninstall_fault_hook().failed());
  for (const int signal : {SIGSEGV, SIGBUS}) EXPECT_EQ(action_of(signal).sa_sigaction, strata::test::inner::keep);
  EXPECT_NE(ours.sa_sigaction, strata::test::inner::keep);
  EXPECT_EQ(recovering_handler::loading(page.at(1)).address, page.at(1));
  EXPECT_EQ(calls, 0);
}

TEST_F(Fault, IsCalledBackInAChildWhichMayUninstall) {
  EXPECT_EQ(in_child([&] {
              if (recovering_handler::loading(page.at(3)).address != page.at(3) || calls != 1) return 1;
              if (platform::uninstall_fault_hook().failed()) return 2;
              if (recovering_handler::loading(page.at(3)).address != page.at(3) || calls != 1) return 3;
              return platform::install_fault_hook(remember).failed() ? 4 : 0;
            }),
            0);
  recovering_handler::loading(page.at(3));
  EXPECT_EQ(calls, 1);
}

// --- handlers that come later

struct sigaction under_the_later_one;
std::atomic<int> later_calls{0};

void later(int signal, siginfo_t* info, void* context) {
  later_calls.fetch_add(1);
  under_the_later_one.sa_sigaction(signal, info, context);
}

TEST_F(Fault, LaterHandlerThatPassesOnKeepsTheHook) {
  later_calls = 0;
  under_the_later_one = action_of(SIGSEGV);
  set_action(SIGSEGV, later, 0);
  recovering_handler::loading(page.at(5));
  EXPECT_EQ(later_calls, 1);
  EXPECT_EQ(calls, 1);

  EXPECT_EQ(platform::uninstall_fault_hook().code, EALREADY);
  EXPECT_EQ(action_of(SIGSEGV).sa_sigaction, later) << "it is somebody else's";
  EXPECT_EQ(action_of(SIGBUS).sa_sigaction, strata::test::inner::keep) << "this one was ours";
  EXPECT_EQ(recovering_handler::loading(page.at(5)).address, page.at(5)) << "handed on all the same";
  EXPECT_EQ(later_calls, 2);
  EXPECT_EQ(calls, 1);

  EXPECT_EQ(platform::install_fault_hook(remember).code, EALREADY);
  EXPECT_EQ(action_of(SIGSEGV).sa_sigaction, later) << "not put on top, where it would pass on to itself";
  EXPECT_EQ(recovering_handler::loading(page.at(5)).address, page.at(5));
  EXPECT_EQ(later_calls, 3);
  EXPECT_EQ(calls, 2);

  ASSERT_EQ(::sigaction(SIGSEGV, &under_the_later_one, nullptr), 0);
  EXPECT_FALSE(platform::install_fault_hook(remember).failed()) << "on top again";
}

// --- what was there before

int signal_got = 0;
bool blocked_then[2];  // SIGUSR1, SIGSEGV
char* page_to_allow = nullptr;

void look_and_allow() {
  sigset_t now;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &now);
  blocked_then[0] = sigismember(&now, SIGUSR1) == 1;
  blocked_then[1] = sigismember(&now, SIGSEGV) == 1;
  static_cast<void>(platform::commit(page_to_allow, platform::page_size()));
  errno = EXDEV;
}

void plain_handler(int signal) {
  signal_got = signal;
  look_and_allow();
}

void full_handler(int signal, siginfo_t* info, void*) {
  signal_got = info->si_addr == page_to_allow ? signal : -1;
  look_and_allow();
}

bool blocked_now(int signal) {
  sigset_t now;
  ::pthread_sigmask(SIG_BLOCK, nullptr, &now);
  return sigismember(&now, signal) == 1;
}

/// A page, and handlers that make it accessible and return.
struct FaultBefore : testing::Test {
  FaultBefore() {
    calls = 0;
    signal_got = 0;
    page_to_allow = page.at(0);
    ::sigaction(SIGSEGV, nullptr, &before);
  }
  ~FaultBefore() override {
    EXPECT_FALSE(platform::uninstall_fault_hook().failed());
    ::sigaction(SIGSEGV, &before, nullptr);
  }

  void expect_repaired() {
    ASSERT_FALSE(platform::install_fault_hook(remember).failed());
    page.forbid();
    errno = ERANGE;
    touch(page.at(0));
    EXPECT_EQ(errno, ERANGE);
    EXPECT_EQ(signal_got, SIGSEGV);
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(*page.at(0), 1) << "the store was made again and done";
    EXPECT_FALSE(blocked_now(SIGUSR1));
    EXPECT_FALSE(blocked_now(SIGSEGV));
  }

  struct sigaction before;
  forbidden_page page;
};

TEST_F(FaultBefore, HandlerOfOneArgumentIsCalledAsSuch) {
  struct sigaction wanted{};
  wanted.sa_handler = plain_handler;
  ASSERT_EQ(::sigaction(SIGSEGV, &wanted, nullptr), 0);
  expect_repaired();
  if (!everything_is_blocked) EXPECT_FALSE(blocked_then[0]);
  EXPECT_TRUE(blocked_then[1]) << "its own signal waits, as always";
}

TEST_F(FaultBefore, HandlerOfThreeArgumentsHasItsMask) {
  set_action(SIGSEGV, full_handler, 0, {SIGUSR1});
  expect_repaired();
  EXPECT_TRUE(blocked_then[0]);
  EXPECT_TRUE(blocked_then[1]);
}

TEST_F(FaultBefore, HandlerThatLetsItsOwnSignalThroughDoesSo) {
  set_action(SIGSEGV, full_handler, SA_NODEFER, {SIGUSR1});
  expect_repaired();
  EXPECT_TRUE(blocked_then[0]);
  if (!everything_is_blocked) EXPECT_FALSE(blocked_then[1]);
}

TEST_F(FaultBefore, HandlerForOneCallIsCalledOnceAndThenTheDefaultAction) {
  EXPECT_EQ(in_child([&] {
              set_action(SIGSEGV, full_handler, static_cast<int>(SA_RESETHAND));
              if (platform::install_fault_hook(remember).failed()) return 1;
              touch(page.at(0));
              if (signal_got != SIGSEGV || calls != 1) return 2;
              page.forbid();
              touch(page.at(0));
              return 3;
            }),
            kKilledBySegv);
  EXPECT_EQ(in_child([&] {
              set_action(SIGSEGV, full_handler, static_cast<int>(SA_RESETHAND));
              if (platform::install_fault_hook(remember).failed()) return 1;
              touch(page.at(0));
              if (platform::uninstall_fault_hook().failed()) return 2;
              return action_of(SIGSEGV).sa_handler == SIG_DFL ? 0 : 3;
            }),
            0)
      << "its turn is over when uninstalled, too";
}

/// How a child ends that does `last`, with `handler` before the hook; and that the callback wrote from it.
template <typename Last>
int end_of_child(void (*handler)(int), const Last& last, bool& called_back) {
  static int said[2];
  EXPECT_EQ(::pipe(said), 0);
  const int end = in_child([&] {
    ::signal(SIGSEGV, handler);
    ::signal(SIGBUS, handler);
    const auto say = [](const memory_fault&) noexcept { static_cast<void>(::write(said[1], "x", 1)); };
    if (platform::install_fault_hook(say).failed()) return 90;
    last();
    return 0;
  });
  ::close(said[1]);
  char byte = 0;
  called_back = ::read(said[0], &byte, 1) == 1;
  ::close(said[0]);
  return end;
}

TEST(FaultDeath, ByDefaultIsOfTheSignalThatCameAndAfterTheCallback) {
  const forbidden_page page;
  bool called_back = false;
  EXPECT_EQ(end_of_child(SIG_DFL, [&] { touch(page.at(0)); }, called_back), kKilledBySegv);
  EXPECT_TRUE(called_back);
}

TEST(FaultDeath, IgnoredFaultsKillAsTheKernelHasIt) {
  const forbidden_page page;
  bool called_back = false;
  EXPECT_EQ(end_of_child(SIG_IGN, [&] { touch(page.at(0)); }, called_back), kKilledBySegv);
  EXPECT_TRUE(called_back);
}

TEST(FaultDeath, SentSignalsKillOrAreIgnoredAsBefore) {
  bool called_back = false;
  EXPECT_EQ(end_of_child(SIG_DFL, [] { ::kill(::getpid(), SIGSEGV); }, called_back), kKilledBySegv);
  EXPECT_FALSE(called_back);
  EXPECT_EQ(end_of_child(SIG_DFL, [] { ::raise(SIGBUS); }, called_back), 1000 + SIGBUS);
  EXPECT_FALSE(called_back);
  EXPECT_EQ(end_of_child(SIG_IGN, [] { ::kill(::getpid(), SIGSEGV); }, called_back), 0);
  EXPECT_FALSE(called_back);
}

TEST(FaultDeath, UnderAHandlerThatPassesOnEndsToo) {
  const forbidden_page page;
  bool called_back = false;
  EXPECT_EQ(end_of_child(
                SIG_DFL,
                [&] {
                  ::sigaction(SIGSEGV, nullptr, &under_the_later_one);
                  set_action(SIGSEGV, later, 0);
                  touch(page.at(0));
                },
                called_back),
            kKilledBySegv);
  EXPECT_TRUE(called_back);
}

// --- refusals, and many at a time

TEST(FaultRefused, ChangesNothingWhicheverCallItIs) {
  const recovering_handler below;
  const forbidden_page page;
  for (unsigned nth = 1;; ++nth) {
    calls = 0;
    platform::os_error refused;
    bool failed = false;
    {
      os_script script;
      script.fail(os_call::sigaction, nth, EINVAL);
      refused = platform::install_fault_hook(remember);
      failed = script.failed(os_call::sigaction) != 0;
    }
    EXPECT_EQ(refused.failed(), failed);
    if (!failed) {
      EXPECT_EQ(nth, 7U) << "a look, a change and a look again, for each of two signals";
      break;
    }
    EXPECT_STREQ(refused.call, "sigaction");
    EXPECT_EQ(refused.code, EINVAL);
    for (const int signal : {SIGSEGV, SIGBUS}) EXPECT_EQ(action_of(signal).sa_sigaction, strata::test::inner::keep);
    EXPECT_EQ(recovering_handler::loading(page.at(1)).address, page.at(1));
    EXPECT_EQ(calls, 0);
  }
  EXPECT_FALSE(platform::uninstall_fault_hook().failed());
}

TEST(FaultRefused, UninstallingLeavesAHandlerThatHandsOn) {
  const recovering_handler below;
  const forbidden_page page;
  calls = 0;
  ASSERT_FALSE(platform::install_fault_hook(remember).failed());
  {
    os_script script;
    script.fail(os_call::sigaction, 2, EINVAL);
    EXPECT_EQ(platform::uninstall_fault_hook().code, EINVAL);
  }
  EXPECT_EQ(recovering_handler::loading(page.at(1)).address, page.at(1));
  EXPECT_EQ(calls, 0);
  EXPECT_FALSE(platform::uninstall_fault_hook().failed()) << "and again";
  EXPECT_EQ(action_of(SIGSEGV).sa_sigaction, strata::test::inner::keep);
}

TEST(FaultThreads, InstallAndUninstallWhileOthersFault) {
  const recovering_handler below;
  const forbidden_page page;
  calls = 0;
  std::atomic<bool> done{false};
  std::atomic<bool> lost{false};
  std::vector<std::thread> faulting;
  for (std::size_t t = 0; t < 2; ++t) {
    faulting.emplace_back([&, t] {
      while (!done) {
        if (recovering_handler::storing(page.at(t)).address != page.at(t)) lost = true;
      }
    });
  }
  std::vector<std::thread> changing;
  for (int t = 0; t < 2; ++t) {
    changing.emplace_back([] {
      for (int i = 0; i < 300; ++i) {
        EXPECT_FALSE(platform::install_fault_hook(remember).failed());
        EXPECT_FALSE(platform::uninstall_fault_hook().failed());
      }
    });
  }
  for (std::thread& thread : changing) thread.join();
  done = true;
  for (std::thread& thread : faulting) thread.join();
  EXPECT_FALSE(lost);
  EXPECT_EQ(action_of(SIGSEGV).sa_sigaction, strata::test::inner::keep);
}

// --- alternate stacks

stack_t stack_now() {
  stack_t now{};
  EXPECT_EQ(::sigaltstack(nullptr, &now), 0);
  return now;
}

TEST_F(Fault, IsCalledBackOnTheAlternateStack) {
  std::thread([&] {
    const platform::alternate_stack stack;
    ASSERT_FALSE(stack.error().failed());
    EXPECT_GE(stack.bytes(), platform::alternate_stack::usual_bytes);
    EXPECT_TRUE(stack.holds(stack_now().ss_sp));
    recovering_handler::loading(page.at(1));
    EXPECT_TRUE(told_on_alternate_stack);
    // Again: it is free again after a handler that did not return.
    recovering_handler::loading(page.at(1));
    EXPECT_TRUE(told_on_alternate_stack);
  }).join();
  EXPECT_EQ(calls, 2);
}

__attribute__((noinline, disable_sanitizer_instrumentation, no_sanitize("all"))) int use_up_the_stack(int depth) {
  volatile char frame[4096];
  frame[0] = static_cast<char>(depth);
  return depth < 0 ? 0 : use_up_the_stack(depth + 1) + frame[0];
}

void* use_up(void*) {
  const platform::alternate_stack stack;
  if (stack.error().failed()) ::_exit(91);
  // Optimisers may see that this never returns.
  volatile int from = 1;
  use_up_the_stack(from);
  return nullptr;
}

TEST(FaultDeath, ForWantOfStackIsReportedFromTheAlternateOne) {
  bool called_back = false;
  EXPECT_EQ(end_of_child(
                SIG_DFL,
                [] {
                  pthread_attr_t small;
                  ::pthread_attr_init(&small);
                  ::pthread_attr_setstacksize(&small, std::size_t{512} << 10);
                  pthread_t thread{};
                  if (::pthread_create(&thread, &small, use_up, nullptr) == 0) ::pthread_join(thread, nullptr);
                },
                called_back),
            kKilledBySegv);
  EXPECT_TRUE(called_back);
}

}  // namespace
