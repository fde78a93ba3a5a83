// SPDX-License-Identifier: Apache-2.0
// Claims: however a process ends, whoever is older: a Strata stack that outlives its users is silent, one that does not
// is reported by name in a checked build, an immortal one serves all of them. Static and thread_local users, handlers of
// atexit() and quick_exit(), exit() from another thread, threads still under way, and the default resource.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <memory_resource>
#include <optional>
#include <string>
#include <thread>
#include <vector>

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

using numbers = std::pmr::vector<int>;

// A process of its own for each: what is static in a function here is made in the child.
void expect_silent_end(void (*in_child)()) { EXPECT_EXIT(in_child(), testing::ExitedWithCode(0), "^$"); }

void expect_report(void (*in_child)(), const char* text) {
  if (!mem::checked) GTEST_SKIP() << "this build is not checked";
  EXPECT_DEATH(in_child(), text);
}

auto& immortal_memory() {
  static immortal made([] { return stack{pages{}, slabs{}}; });
  return *made;
}

TEST(ExitOrder, AStaticMemoryOlderThanItsUserIsSilent) {
  expect_silent_end(+[] {
    static stack memory{pages{}, slabs{}};
    static numbers user(100, 1, &memory);
    std::exit(0);
  });
}

TEST(ExitOrder, AStaticUserThatIsOlderIsReported) {
  expect_report(
      +[] {
        static std::optional<numbers> user;
        user.reset();
        static stack memory{pages{}, heap{.name = "early"}};
        user.emplace(100, 1, &memory.top());
        std::exit(0);
      },
      "strata: early: used after its destruction: given a block back");
}

TEST(ExitOrder, AStaticUserOlderThanAnImmortalMemoryIsSilent) {
  expect_silent_end(+[] {
    static std::optional<numbers> user;
    user.reset();
    user.emplace(100, 1, &immortal_memory());
    std::exit(0);
  });
}

TEST(ExitOrder, ThreadLocalUsersEndBeforeStaticMemory) {
  expect_silent_end(+[] {
    static thread_local std::optional<numbers> user;  // older, and yet
    user.reset();
    static stack memory{pages{}, slabs{}};
    user.emplace(100, 1, &memory);
    std::thread([] { user.emplace(100, 1, &memory); }).join();
    std::exit(0);
  });
}

// A thread's cache is given up after its thread_local objects, whichever of the two was first.
TEST(ExitOrder, ThreadLocalUsersMayBeOlderOrYoungerThanTheThreadsCache) {
  expect_silent_end(+[] {
    static stack memory{pages{}, slabs{}};
    std::thread([] {
      static thread_local std::optional<numbers> older;
      older.reset();
      memory.deallocate(memory.allocate(100), 100);  // here the thread gets its cache
      older.emplace(100, 1, &memory);
      static thread_local numbers younger(100, 1, &memory);
      younger.push_back(2);
    }).join();
    if (memory.stats().live_blocks != 0) std::abort();
    std::exit(0);
  });
}

stack<pages, slabs>* of_handlers = nullptr;
std::pmr::memory_resource* top_of_handlers = nullptr;
void use_in_handler() { numbers(100, 1, top_of_handlers).push_back(2); }

TEST(ExitOrder, AHandlerYoungerThanTheMemoryMayUseIt) {
  expect_silent_end(+[] {
    static stack memory{pages{}, slabs{}};
    of_handlers = &memory;
    top_of_handlers = of_handlers;
    if (std::atexit(use_in_handler) != 0) std::abort();
    std::exit(0);
  });
}

TEST(ExitOrder, AHandlerOlderThanTheMemoryIsReported) {
  expect_report(
      +[] {
        if (std::atexit(use_in_handler) != 0) std::abort();
        static stack memory{pages{}, slabs{.name = "late"}};
        top_of_handlers = &memory.top();
        std::exit(0);
      },
      "strata: late: used after its destruction: asked for a block");
}

TEST(ExitOrder, QuickExitDestroysNothing) {
  expect_silent_end(+[] {
    if (std::at_quick_exit(use_in_handler) != 0) std::abort();
    static stack memory{pages{}, slabs{}};
    static numbers user(100, 1, &memory);
    top_of_handlers = &memory;
    std::quick_exit(0);
  });
}

TEST(ExitOrder, AnotherThreadMayEndTheProcess) {
  expect_silent_end(+[] {
    static stack memory{pages{}, slabs{}};
    static numbers user(100, 1, &memory);
    thread_local numbers of_main(100, 1, &memory);  // never destroyed: this thread does not end
    std::thread([] {
      thread_local numbers of_thread(100, 1, &memory);
      of_thread.push_back(2);
      std::exit(0);
    }).join();
  });
}

TEST(ExitOrder, ThreadsUnderWayMayGoOnWithAnImmortalMemory) {
  expect_silent_end(+[] {
    static std::atomic<int> started{0};
    for (int t = 0; t < 4; ++t) {
      std::thread([] {
        std::size_t turns = 0;
        for (;;) {
          const numbers user(1 + turns % 1000, 1, &immortal_memory());
          if (++turns == 10) {
            started.fetch_add(1);
            started.notify_one();
          }
        }
      }).detach();
    }
    for (int seen = started; seen != 4; seen = started) started.wait(seen);
    std::exit(0);
  });
}

TEST(ExitOrder, AnImmortalDefaultResourceServesEverybody) {
  expect_silent_end(+[] {
    static std::optional<std::pmr::string> older;
    older.reset();
    std::pmr::set_default_resource(&immortal_memory());
    older.emplace("longer than what a string keeps within itself");
    static std::pmr::string younger("longer than what a string keeps within itself");
    std::thread([] { const std::pmr::string other("longer than what a string keeps within itself"); }).join();
    std::exit(0);
  });
}

TEST(ExitOrder, ADefaultResourceThatIsTakenBackIsSilent) {
  expect_silent_end(+[] {
    static stack memory{pages{}, slabs{}};
    static struct restored {
      std::pmr::memory_resource* const before = std::pmr::set_default_resource(&memory);
      ~restored() { std::pmr::set_default_resource(before); }
    } while_it_lives;
    static std::pmr::string user("longer than what a string keeps within itself");
    std::exit(0);
  });
}

TEST(ExitOrder, ADefaultResourceThatDanglesIsReported) {
  expect_report(
      +[] {
        static struct last {
          ~last() { const std::pmr::string text("longer than what a string keeps within itself"); }
        } user;
        static page_resource memory({.name = "default memory"});
        std::pmr::set_default_resource(&memory);
        std::exit(0);
      },
      "strata: default memory: used after its destruction: asked for a block");
}

}  // namespace
}  // namespace strata::pmr
