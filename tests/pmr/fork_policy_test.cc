// SPDX-License-Identifier: Apache-2.0
// Claims: each layer says what a child of fork() finds, and that is what the child finds: its blocks as they were, and
// more to be had; or the same blocks; or zeros or a fault where they were, and more to be had; or nothing. What stands
// above is as bad as the worst below, and a layer that keeps books in what is lost is refused.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <memory_resource>
#include <string>

#include "tests/pmr/every_layer.h"

import strata.pmr;

namespace strata::pmr {
namespace {

constexpr std::size_t bytes = 3 * 4096;

// How a child ends that does `what`: its exit status, or 256 and the signal.
template <class What>
int in_child(What what) {
  const pid_t born = ::fork();
  if (born == 0) {
    std::signal(SIGSEGV, SIG_DFL);  // a sanitizer would explain it, and exit
    std::signal(SIGBUS, SIG_DFL);
    ::_exit(what() ? 0 : 1);
  }
  int status = -1;
  if (born < 0 || ::waitpid(born, &status, 0) != born) return -1;
  return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

bool holds(const std::byte* block, std::size_t size, std::byte what) {
  return std::all_of(block, block + size, [what](std::byte b) { return b == what; });
}

// New blocks, written and given back.
bool serves(std::pmr::memory_resource& memory, std::size_t size = bytes) {
  auto* const p = static_cast<std::byte*>(memory.allocate(size));
  std::memset(p, 1, size);
  const bool good = holds(p, size, std::byte{1});
  memory.deallocate(p, size);
  return good;
}

class written_block {
 public:
  explicit written_block(std::pmr::memory_resource& from, std::size_t size = bytes)
      : from_(from), size_(size), block_(static_cast<std::byte*>(from.allocate(size))) {
    std::memset(block_, 0x5A, size);
  }
  ~written_block() { from_.deallocate(block_, size_); }
  written_block(const written_block&) = delete;
  written_block& operator=(const written_block&) = delete;

  [[nodiscard]] std::byte* get() const { return block_; }
  [[nodiscard]] bool is_as_written() const { return holds(block_, size_, std::byte{0x5A}); }
  void give_back_in_child() const { from_.deallocate(block_, size_); }

 private:
  std::pmr::memory_resource& from_;
  const std::size_t size_;
  std::byte* const block_;
};

TEST(ForkPolicy, OfEveryLayerIsWhatItsChildFinds) {
  for (const test::subject& each : test::every_layer()) {
    SCOPED_TRACE(each.name());
    const test::instance object = each.make(nullptr);
    auto& whole = dynamic_cast<layer&>(*object);
    EXPECT_EQ(whole.at_fork(), each.name() == "segment_resource" ? fork_policy::shared : fork_policy::works);
    const written_block block(whole, 100);
    EXPECT_EQ(in_child([&] {
                if (!block.is_as_written()) return false;
                if (whole.at_fork() == fork_policy::works) {
                  std::memset(block.get(), 0, 100);  // a copy: the parent keeps its own
                  block.give_back_in_child();
                }
                return serves(whole) && serves(whole, 100);
              }),
              0);
    EXPECT_TRUE(block.is_as_written());
    EXPECT_EQ(whole.stats().live_blocks, 1U);
    EXPECT_TRUE(serves(whole));
  }
}

TEST(ForkPolicy, SharedMeansTheSameBlocks) {
  segment_resource memory({.reserve = false});
  ASSERT_EQ(memory.at_fork(), fork_policy::shared);
  const written_block block(memory);
  EXPECT_EQ(in_child([&] { return std::memset(block.get(), 1, bytes) != nullptr; }), 0);
  EXPECT_TRUE(holds(block.get(), bytes, std::byte{1}));
}

TEST(ForkPolicy, WipedMeansZerosAndNewBlocksOfAMemoryLockedSo) {
  page_resource below;
  locked_adaptor memory(&below, {.strict = false, .children = children_find::zeros});
  ASSERT_EQ(memory.at_fork(), fork_policy::wiped);
  const written_block block(memory);
  EXPECT_EQ(in_child([&] { return holds(block.get(), bytes, std::byte{0}) && serves(memory); }), 0);
  EXPECT_TRUE(block.is_as_written());
}

TEST(ForkPolicy, WipedMeansAFaultAndNewBlocksOfAShadowThatIsNotCopied) {
  stack memory{pages{}, slabs{}, shadow{.copy_at_fork = false}};
  ASSERT_EQ(memory.at_fork(), fork_policy::wiped);
  const written_block block(memory, 100);
  EXPECT_EQ(in_child([&] { return serves(memory, 100); }), 0);
  EXPECT_EQ(in_child([&] { return block.is_as_written(); }), 256 + SIGSEGV);
  EXPECT_TRUE(block.is_as_written());
}

TEST(ForkPolicy, RefusedMeansThatNothingIsThere) {
  page_resource below;
  locked_adaptor locked_away(&below, {.strict = false, .children = children_find::nothing});
  segment_resource private_segments({.reserve = false, .in_children = false});
  for (layer* const memory : {static_cast<layer*>(&locked_away), static_cast<layer*>(&private_segments)}) {
    SCOPED_TRACE(memory->name());
    ASSERT_EQ(memory->at_fork(), fork_policy::refused);
    const written_block block(*memory);
    EXPECT_EQ(in_child([&] { return block.is_as_written(); }), 256 + SIGSEGV);
    EXPECT_TRUE(block.is_as_written());
  }
}

TEST(ForkPolicy, WhatStandsAboveIsAsBadAsTheWorstBelow) {
  constexpr auto wiping = locked{.strict = false, .children = children_find::zeros};
  constexpr auto plenty = limit{.bytes = std::size_t{1} << 40};
  const stack passing{pages{}, wiping, plenty};
  EXPECT_EQ(passing.at_fork(), fork_policy::wiped);
  const stack with_books{pages{}, wiping, slabs{}, plenty};
  EXPECT_EQ(with_books.at_fork(), fork_policy::refused);
  const stack pool{pages{}, wiping, mempool{.segment_bytes = std::size_t{1} << 20}};
  EXPECT_EQ(pool.at_fork(), fork_policy::refused);
  const stack shared{segments{.reserve = false}, heap{}};
  EXPECT_EQ(shared.at_fork(), fork_policy::shared);
  stack lower{segments{.reserve = false}, heap{}};
  const stack above{borrowed{&lower}, heap{}, synchronized{}};
  EXPECT_EQ(above.at_fork(), fork_policy::shared);
  page_resource well;
  segment_resource second({.reserve = false, .in_children = false});
  const fallback_resource both(&well, &second);
  EXPECT_EQ(both.at_fork(), fork_policy::refused);
}

}  // namespace
}  // namespace strata::pmr
