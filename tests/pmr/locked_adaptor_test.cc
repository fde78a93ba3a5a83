// SPDX-License-Identifier: Apache-2.0
// Claims beyond conformance: what is handed out is locked, page by page, as the kernel counts, and nothing is at the
// end; strict refuses with how much is locked of how much and what to do, and nothing has changed; otherwise the block
// is there, and degraded() and unlocked_bytes() say what is missing; what is to be wiped is zero when upstream gets it
// back, still locked while it is wiped; children find what was asked for; a child says that nothing is locked there;
// whole spans of a keeper above are locked.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <string>
#include <vector>

#include "tests/os_script/os_script.h"
#include "tests/support/sanitizer.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

std::size_t kernel() { return mem::locks().locked; }

struct LockedAdaptor : testing::Test {
  std::size_t page = mem::page_bytes();
  std::size_t before = kernel();
  void SetUp() override {
    if (test::under_asan || test::under_tsan) GTEST_SKIP() << "sanitizers ignore locks";
  }
  void TearDown() override {
    EXPECT_EQ(kernel(), before);
    EXPECT_EQ(locked_adaptor<>::locked_by_process(), 0U);
  }
};

TEST_F(LockedAdaptor, LocksWhatItHandsOut) {
  stack memory{pages{}, locked{}};
  void* const p = memory.allocate(3 * page);
  void* const q = memory.allocate(1);
  EXPECT_EQ(kernel() - before, 4 * page);
  EXPECT_EQ(memory.top().locked_by_process(), 4 * page);
  EXPECT_EQ(memory.top().unlocked_bytes(), 0U);
  memory.deallocate(p, 3 * page);
  memory.deallocate(q, 1);
}

TEST_F(LockedAdaptor, LocksThePagesOfSmallBlocksOnce) {
  stack memory{pages{}, heap{}, locked{}};
  std::vector<void*> blocks;
  for (int i = 0; i < 100; ++i) blocks.push_back(memory.allocate(100));
  EXPECT_LE(kernel() - before, 4 * page);
  EXPECT_GT(kernel() - before, 0U);
  EXPECT_EQ(kernel() - before, memory.top().locked_by_process());
  for (void* p : blocks) memory.deallocate(p, 100);
}

TEST_F(LockedAdaptor, LocksWholeSpansBelowAKeeper) {
  {
    stack memory{pages{}, locked{.strict = false}, slabs{}};
    std::pmr::vector<int> numbers(1000, 7, &memory);
    if (memory.get<1>().unlocked_bytes() == 0) {
      EXPECT_GE(kernel() - before, mem::span_bytes);
      EXPECT_EQ(kernel() - before, memory.get<1>().locked_by_process());
    }
  }
}

TEST_F(LockedAdaptor, StrictRefusesAndSaysWhatToDo) {
  stack memory{pages{}, locked{.name = "secrets"}};
  for (const int code : {ENOMEM, EPERM, EAGAIN}) {
    test::os_script script;
    script.fail(test::os_call::mlock, 1, code);
    try {
      (void)memory.allocate(page);
      FAIL() << "nothing was thrown";
    } catch (const allocation_error& e) {
      EXPECT_EQ(e.os_code(), code);
      EXPECT_STREQ(e.os_call(), "mlock");
      const std::string text = e.what();
      EXPECT_TRUE(text.starts_with("strata: secrets cannot allocate")) << text;
      EXPECT_NE(text.find("cannot be locked"), std::string::npos) << text;
    }
    EXPECT_EQ(memory.stats().live, 0U);
    EXPECT_EQ(memory.stats().failures, static_cast<std::size_t>(code == ENOMEM ? 1 : code == EPERM ? 2 : 3));
    EXPECT_EQ(memory.get<0>().stats().live, 0U);
    EXPECT_EQ(script.mapped_bytes(), 0U);
  }
}

// The kernel's own refusal, in a child without privilege.
TEST_F(LockedAdaptor, SaysHowMuchIsLockedOfHowMuch) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit two_pages{2 * page, 2 * page};
    stack memory{pages{}, locked{}};
    std::string said = "allocated";
    if (::setrlimit(RLIMIT_MEMLOCK, &two_pages) != 0 || mem::locks().limit != 2 * page) {
      said = "privileged";
    } else {
      void* const p = memory.allocate(page);
      try {
        (void)memory.allocate(2 * page);
      } catch (const allocation_error& e) {
        said = e.what();
      }
      memory.deallocate(p, page);
    }
    ::_exit(::write(pipe[1], said.data(), said.size()) == static_cast<ssize_t>(said.size()) ? 0 : 1);
  }
  char said[256] = {};
  EXPECT_GT(::read(pipe[0], said, sizeof said - 1), 0);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  if (std::string(said) == "privileged") GTEST_SKIP() << "no limit holds for this user";
  const std::string expected = std::to_string(page) + " of " + std::to_string(2 * page) + " bytes are";
  EXPECT_NE(std::string(said).find(expected), std::string::npos) << said;
  EXPECT_NE(std::string(said).find("RLIMIT_MEMLOCK"), std::string::npos) << said;
}

TEST_F(LockedAdaptor, OtherwiseHandsOutUnlockedAndSaysSo) {
  stack memory{pages{}, locked{.strict = false}};
  void* const good = memory.allocate(page);
  void* bad = nullptr;
  {
    test::os_script script;
    script.fail(test::os_call::mlock, 1, EPERM);
    bad = memory.allocate(2 * page);
  }
  EXPECT_EQ(memory.top().unlocked_bytes(), 2 * page);
  EXPECT_EQ(kernel() - before, page);
  std::array<degradation, 4> states{};
  ASSERT_EQ(memory.top().degraded(states), 1U);
  EXPECT_EQ(states[0].times, 1U);
  EXPECT_EQ(states[0].cause.code, EPERM);
  EXPECT_NE(std::string(states[0].reason).find("unlocked"), std::string::npos);
  memory.deallocate(bad, 2 * page);
  EXPECT_EQ(memory.top().unlocked_bytes(), 0U);
  EXPECT_EQ(kernel() - before, page);
  memory.deallocate(good, page);
}

// Looks at what comes back, and whether it is still locked then: it must not be.
class inspector final : public std::pmr::memory_resource {
 public:
  bool all_zero = true;
  std::size_t returned = 0;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    const auto* const content = static_cast<const unsigned char*>(p);
    all_zero = all_zero && std::all_of(content, content + bytes, [](unsigned char b) { return b == 0; });
    ++returned;
    std::pmr::new_delete_resource()->deallocate(p, bytes, alignment);
  }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }
};

TEST_F(LockedAdaptor, WipesBeforeUpstreamGetsItBack) {
  for (const bool hidden : {false, true}) {
    inspector upstream;
    locked_adaptor memory(&upstream, locked{.strict = false, .wipe = true, .dumped = !hidden});
    for (const std::size_t bytes : {std::size_t{1}, std::size_t{100}, 3 * page + 5}) {
      void* const p = memory.allocate(bytes);
      std::memset(p, 0xA5, bytes);
      memory.deallocate(p, bytes);
    }
    EXPECT_EQ(upstream.returned, 3U);
    EXPECT_TRUE(upstream.all_zero);
  }
}

// What a child finds in the first byte of a block that holds 7 there; -1 when it dies of looking.
int in_a_child(children_find what) {
  stack memory{pages{}, heap{}, locked{.strict = false, .children = what}};
  auto* const neighbour = static_cast<volatile char*>(memory.get<1>().allocate(100));
  auto* const p = static_cast<volatile char*>(memory.allocate(100));
  p[0] = 7;
  neighbour[0] = 9;
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);
    if (neighbour[0] != 9) ::_exit(99);
    ::_exit(p[0]);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  memory.deallocate(const_cast<char*>(p), 100);
  memory.get<1>().deallocate(const_cast<char*>(neighbour), 100);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(LockedAdaptorChildren, FindWhatWasAskedForAndNeighboursAsTheyWere) {
  EXPECT_EQ(in_a_child(children_find::a_copy), 7);
  EXPECT_EQ(in_a_child(children_find::zeros), 0);
  if (!test::under_asan && !test::under_tsan) EXPECT_EQ(in_a_child(children_find::nothing), -1);
}

TEST_F(LockedAdaptor, AfterUseMemoryIsInheritedAndDumpedAgain) {
  stack memory{pages{}, heap{}, locked{.strict = false, .dumped = false, .children = children_find::zeros}};
  auto* const first = static_cast<char*>(memory.allocate(page));
  memory.deallocate(first, page);
  auto* const again = static_cast<char*>(memory.get<1>().allocate(page, page));
  again[0] = 5;
  const pid_t child = ::fork();
  if (child == 0) ::_exit(again[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 5);
  memory.get<1>().deallocate(again, page, page);
}

TEST_F(LockedAdaptor, HidingThatIsRefusedIsRefusedOrSaid) {
  for (const bool strict : {true, false}) {
    stack memory{pages{}, locked{.strict = strict, .children = children_find::zeros}};
    test::os_script script;
    script.fail(test::os_call::madvise, 1, EINVAL);
    if (strict) {
      EXPECT_THROW((void)memory.allocate(1), allocation_error);
      EXPECT_EQ(script.mapped_bytes(), 0U);
    } else {
      void* const p = memory.allocate(1);
      std::array<degradation, 4> states{};
      ASSERT_EQ(memory.top().degraded(states), 1U);
      EXPECT_EQ(states[0].cause.code, EINVAL);
      memory.deallocate(p, 1);
    }
  }
}

TEST_F(LockedAdaptor, AChildSaysThatNothingIsLockedThere) {
  stack memory{pages{}, locked{}};
  void* const p = memory.allocate(page);
  const pid_t child = ::fork();
  if (child == 0) {
    std::array<degradation, 4> states{};
    const bool says = memory.top().degraded(states) == 1 && memory.top().unlocked_bytes() == page && kernel() == 0;
    memory.deallocate(p, page);
    void* const q = memory.allocate(page);
    const bool goes_on = memory.top().unlocked_bytes() == 0 && kernel() == page;
    memory.deallocate(q, page);
    ::_exit(says && goes_on ? 0 : 1);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  std::array<degradation, 4> states{};
  EXPECT_EQ(memory.top().degraded(states), 0U);
  memory.deallocate(p, page);
}

}  // namespace
}  // namespace strata::pmr
