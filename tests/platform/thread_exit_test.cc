// SPDX-License-Identifier: Apache-2.0
// Claims:
//  * a hook runs when its thread ends, once, with its argument; the one registered last runs first; other threads'
//  hooks do not run
//  * it runs after the thread's C++ thread_local objects are gone, which may still register one
//  * a hook registered while the thread ends runs in the next round; in the last one it is refused
//  * cancel takes it back at any time, also while the thread ends
//  * nothing runs when the process ends instead of the thread
//  * what the OS refuses is told, leaves the hook unregistered and may be tried again
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/os_script/os_script.h"

import strata.platform;

namespace {

using strata::platform::at_thread_exit;
using strata::platform::cancel;
using strata::platform::thread_exit_hook;
using strata::test::os_call;
using strata::test::os_script;

void in_thread(const std::function<void()>& body) { std::thread(body).join(); }

/// A hook that writes its name down and may do more.
class noted_hook {
 public:
  noted_hook(std::vector<std::string>& notes, std::string name, std::function<void()> more = {})
      : notes_(notes), name_(std::move(name)), more_(std::move(more)) {}

  void enlist() { ASSERT_FALSE(at_thread_exit(hook_).failed()); }
  thread_exit_hook& hook() { return hook_; }

 private:
  static void run(void* self) noexcept {
    auto& noted = *static_cast<noted_hook*>(self);
    EXPECT_FALSE(noted.hook_.registered());
    noted.notes_.push_back(noted.name_);
    if (noted.more_) noted.more_();
  }

  std::vector<std::string>& notes_;
  std::string name_;
  std::function<void()> more_;
  thread_exit_hook hook_{run, this};
};

using list = std::vector<std::string>;

TEST(ThreadExit, RunsHooksLastRegisteredFirst) {
  list notes;
  noted_hook a(notes, "a");
  noted_hook b(notes, "b");
  noted_hook c(notes, "c");
  in_thread([&] {
    for (noted_hook* hook : {&a, &b, &c}) hook->enlist();
    EXPECT_TRUE(b.hook().registered());
    EXPECT_EQ(notes, list{});
  });
  EXPECT_EQ(notes, (list{"c", "b", "a"}));
  EXPECT_FALSE(b.hook().registered());
}

TEST(ThreadExit, RunsAHookOnceThoughRegisteredTwiceAndAgainInAnotherThread) {
  list notes;
  noted_hook a(notes, "a");
  in_thread([&] {
    a.enlist();
    a.enlist();
  });
  EXPECT_EQ(notes, list{"a"});
  in_thread([&] { a.enlist(); });
  EXPECT_EQ(notes, (list{"a", "a"}));
}

TEST(ThreadExit, RunsOnlyTheHooksOfTheThreadThatEnds) {
  list notes;
  list inner_notes;
  noted_hook outer(notes, "outer");
  noted_hook inner(inner_notes, "inner");
  in_thread([&] {
    outer.enlist();
    in_thread([&] { inner.enlist(); });
    EXPECT_EQ(inner_notes, list{"inner"});
    EXPECT_EQ(notes, list{});
  });
  EXPECT_EQ(notes, list{"outer"});
}

TEST(ThreadExit, CancelledHooksDoNotRun) {
  list notes;
  noted_hook a(notes, "a");
  noted_hook b(notes, "b");
  noted_hook c(notes, "c");
  in_thread([&] {
    EXPECT_FALSE(cancel(a.hook()));
    for (noted_hook* hook : {&a, &b, &c}) hook->enlist();
    EXPECT_TRUE(cancel(b.hook()));
    EXPECT_FALSE(cancel(b.hook()));
    EXPECT_TRUE(cancel(c.hook()));
    EXPECT_TRUE(cancel(a.hook()));
    a.enlist();
    c.enlist();
    EXPECT_TRUE(cancel(a.hook()));
  });
  EXPECT_EQ(notes, list{"c"});
}

TEST(ThreadExit, AHookMayCancelAnotherWhileTheThreadEnds) {
  list notes;
  noted_hook a(notes, "a");
  noted_hook b(notes, "b");
  noted_hook c(notes, "c", [&] { EXPECT_TRUE(cancel(b.hook())); });
  in_thread([&] {
    for (noted_hook* hook : {&a, &b, &c}) hook->enlist();
  });
  EXPECT_EQ(notes, (list{"c", "a"}));
}

TEST(ThreadExit, AHookRegisteredWhileTheThreadEndsRunsInTheNextRound) {
  list notes;
  noted_hook late(notes, "late");
  noted_hook a(notes, "a");
  noted_hook b(notes, "b", [&] { late.enlist(); });
  in_thread([&] {
    a.enlist();
    b.enlist();
  });
  EXPECT_EQ(notes, (list{"b", "a", "late"}));
}

TEST(ThreadExit, AHookThatAlwaysRegistersItselfRunsThreeTimesAndIsToldThatItIsTheLast) {
  list notes;
  list answers;
  thread_exit_hook* self = nullptr;
  noted_hook again(notes, "again", [&] {
    const auto answer = at_thread_exit(*self);
    EXPECT_EQ(self->registered(), !answer.failed());
    if (answer.failed()) EXPECT_EQ(answer.code, EAGAIN);
    answers.emplace_back(answer.failed() ? "refused" : "registered");
  });
  self = &again.hook();
  in_thread([&] { again.enlist(); });
  EXPECT_EQ(notes, (list{"again", "again", "again"}));
  EXPECT_EQ(answers, (list{"registered", "registered", "refused"}));
}

list* local_notes = nullptr;
noted_hook* local_hook = nullptr;

struct local_object {
  ~local_object() {
    local_notes->push_back("thread_local object");
    local_hook->enlist();
  }
  void touch() const {}
};

TEST(ThreadExit, RunsAfterThreadLocalObjectsWhichMayStillRegister) {
  list notes;
  noted_hook first(notes, "registered early");
  noted_hook second(notes, "registered by the object");
  local_notes = &notes;
  local_hook = &second;
  in_thread([&] {
    thread_local local_object object;
    object.touch();
    first.enlist();
  });
  EXPECT_EQ(notes, (list{"thread_local object", "registered by the object", "registered early"}));
}

void enlist_from_key(void* hook) { static_cast<noted_hook*>(hook)->enlist(); }

TEST(ThreadExit, RunsWhatDestructorsOfOtherKeysRegister) {
  list notes;
  noted_hook early(notes, "early");
  noted_hook late(notes, "late");
  pthread_key_t key{};
  // Made after the hooks' own key, so that its destructor runs when that key's round is over.
  in_thread([&] { early.enlist(); });
  ASSERT_EQ(::pthread_key_create(&key, enlist_from_key), 0);
  in_thread([&] {
    ASSERT_EQ(::pthread_setspecific(key, &late), 0);
    early.enlist();
  });
  ASSERT_EQ(::pthread_key_delete(key), 0);
  EXPECT_EQ(notes, (list{"early", "early", "late"}));
}

[[noreturn]] void* leave_early(void* hook) {
  static_cast<noted_hook*>(hook)->enlist();
  ::pthread_exit(nullptr);
}

TEST(ThreadExit, RunsWhenAThreadLeavesEarly) {
  list notes;
  noted_hook a(notes, "a");
  pthread_t thread{};
  ASSERT_EQ(::pthread_create(&thread, nullptr, leave_early, &a), 0);
  ASSERT_EQ(::pthread_join(thread, nullptr), 0);
  EXPECT_EQ(notes, list{"a"});
}

TEST(ThreadExit, ServesManyThreadsAtOnce) {
  constexpr std::size_t kThreads = 8;
  std::vector<list> notes(kThreads);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&mine = notes[t]] {
      for (int life = 0; life < 50; ++life) {
        noted_hook a(mine, "a");
        noted_hook b(mine, "b");
        in_thread([&] {
          a.enlist();
          b.enlist();
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const list& mine : notes) EXPECT_EQ(mine.size(), 100U);
}

TEST(ThreadExit, IsRefusedWhereTheThreadHasNoRoom) {
  list notes;
  noted_hook a(notes, "a");
  in_thread([&] {
    os_script script;
    script.fail(os_call::pthread_setspecific, 1, ENOMEM);
    const auto refused = at_thread_exit(a.hook());
    EXPECT_STREQ(refused.call, "pthread_setspecific");
    EXPECT_EQ(refused.code, ENOMEM);
    EXPECT_FALSE(a.hook().registered());
    EXPECT_FALSE(cancel(a.hook()));
  });
  EXPECT_EQ(notes, list{});
}

// The key is made once in a process, so what concerns its making has a process of its own.
class ThreadExitDeathTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(ThreadExitDeathTest, IsRefusedWhereNoKeyIsLeftAndMayBeTriedAgain) {
  const auto body = [] {
    list notes;
    noted_hook a(notes, "a");
    {
      os_script script;
      script.fail(os_call::pthread_key_create, 1, EAGAIN);
      const auto refused = at_thread_exit(a.hook());
      if (refused.code != EAGAIN || std::string(refused.call) != "pthread_key_create" || a.hook().registered())
        std::_Exit(1);
    }
    in_thread([&] { a.enlist(); });
    std::_Exit(notes == list{"a"} ? 0 : 2);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(0), "");
}

void say(void*) noexcept { std::fputs("the hook ran\n", stderr); }

TEST_F(ThreadExitDeathTest, DoesNotRunWhenTheProcessEnds) {
  const auto body = [] {
    static thread_exit_hook hook(say, nullptr);
    if (at_thread_exit(hook).failed()) std::_Exit(1);
    std::exit(0);
  };
  EXPECT_EXIT(body(), testing::ExitedWithCode(0), testing::Not(testing::HasSubstr("the hook ran")));
}

}  // namespace
