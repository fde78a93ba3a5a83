// SPDX-License-Identifier: Apache-2.0
// Claims (W2-11, D2-10): what an operation of the heap costs does not grow with the number of blocks or regions, however
// the sizes were chosen: by the instructions it takes, counted one by one in a child process. Sizes: all different and
// ascending, which made the lineage's tree a list; all in one list of the index and just too small; every second block
// of a full region; thousands of regions.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

// Instructions from one stop of the child to the next. What stopping takes is the same for all.
std::size_t instructions(const std::function<void()>& work) {
  const pid_t child = fork();
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(1);
    kill(getpid(), SIGSTOP);
    work();
    kill(getpid(), SIGSTOP);
    _exit(0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSTOPPED(status)) << "the child may not be traced";
  std::size_t count = 0;
  while (WIFSTOPPED(status)) {
    if (ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0 || waitpid(child, &status, 0) != child) break;
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) break;
    ++count;
  }
  EXPECT_TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP) << "the work ended otherwise than by its end";
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return count;
}

/// Whether a child may be traced here, step by step: some containers forbid it, some kernels cannot.
bool can_count() {
  const pid_t child = fork();
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(1);
    kill(getpid(), SIGSTOP);
    _exit(0);
  }
  int status = 0;
  const bool stepped = waitpid(child, &status, 0) == child && WIFSTOPPED(status) &&
                       ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) == 0 && waitpid(child, &status, 0) == child &&
                       WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
  if (WIFSTOPPED(status)) {
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
  }
  return stepped;
}

struct Heap {
  std::vector<std::unique_ptr<std::byte[]>> memory;
  boundary_heap heap{boundary_heap::geometry{.keep = 1024}};

  void add(std::size_t bytes) {
    memory.push_back(std::make_unique_for_overwrite<std::byte[]>(bytes));
    heap.add(memory.back().get(), bytes);
  }
  void* get(std::size_t bytes) {
    void* const p = heap.allocate(bytes, 1);
    EXPECT_NE(p, nullptr);
    return p;
  }
  void* placed(const placement::request& r) { return heap_placer(heap).allocate(r); }
};

// Free blocks of n sizes, each 16 bytes more than the one before.
void ascending(Heap& h, std::size_t n) {
  h.add(n * (n * 16 + 2048) + (1 << 20));
  std::vector<void*> blocks;
  for (std::size_t i = 0; i < n; ++i) {
    blocks.push_back(h.get(1100 + i * 16));
    h.get(16);
  }
  for (void* const p : blocks) h.heap.deallocate(p);
}

// n free blocks in the list that a request for 100 100 bytes looks into, all too small for it.
void too_small(Heap& h, std::size_t n) {
  h.add(n * 100'100 + (1 << 20));
  std::vector<void*> blocks;
  for (std::size_t i = 0; i < n; ++i) {
    blocks.push_back(h.get(99'000));
    h.get(16);
  }
  for (void* const p : blocks) h.heap.deallocate(p);
}

// Small blocks, every second one free.
void every_second(Heap& h, std::size_t n) {
  h.add(n * 2 * 112 + (1 << 20));
  std::vector<void*> blocks;
  for (std::size_t i = 0; i < 2 * n; ++i) blocks.push_back(h.get(100));
  for (std::size_t i = 0; i < 2 * n; i += 2) h.heap.deallocate(blocks[i]);
}

// n regions, every second one empty.
void many_regions(Heap& h, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    h.add(8192);
    if (i % 2 == 0) h.get(5000);
  }
  h.add(1 << 20);
}

struct WorstCase : testing::TestWithParam<std::pair<const char*, void (*)(Heap&, std::size_t)>> {};

TEST_P(WorstCase, CostsNoMoreWithAHundredTimesTheBlocks) {
  if (!can_count()) GTEST_SKIP() << "no process may count another's instructions here";
  const auto cost = [](std::size_t n) {
    Heap h;
    GetParam().second(h, n);
    EXPECT_EQ(h.heap.check().fault, heap_fault::none);
    h.heap.join_kept();
    void* const first = h.get(3000);
    void* const second = h.get(3000);
    void* const third = h.get(3000);
    h.heap.deallocate(first);
    h.heap.deallocate(third);
    heap_mover mover(h.heap);
    mover.start();
    heap_move move;
    const std::vector<std::function<void()>> all{
        [&] { (void)h.heap.allocate(20, 1); },
        [&] { (void)h.heap.allocate(1500, 1); },
        [&] { (void)h.heap.allocate(100'100, 1); },
        [&] { (void)h.heap.allocate(boundary_heap::max_bytes, 1); },
        [&] { (void)h.heap.allocate(64, 4096); },
        [&] { (void)h.placed({.size = 100, .align = 12, .offset = 5, .span = 253}); },
        [&] { (void)h.placed({.size = 100, .align = 8, .offset = 4}); },
        [&] { (void)h.heap.deallocate(second); },
        [&] { (void)h.heap.resize(second, 4000); },
        [&] { (void)mover.grow(second, 9000, 16); },
        [&] { (void)mover.step(move); },
        [&] { (void)h.heap.inspect(second); },
        [&] { (void)h.heap.inspect(&h); },
    };
    std::vector<std::size_t> counts;
    for (const auto& work : all) counts.push_back(instructions(work));
    return counts;
  };
  const std::vector<std::size_t> few = cost(10);
  const std::vector<std::size_t> many = cost(1000);
  ASSERT_EQ(few.size(), many.size());
  // Ten blocks are as many as any operation looks at, but for a step of a compaction: that looks at most_visits.
  constexpr std::size_t step = 10;
  for (std::size_t i = 0; i < few.size(); ++i) {
    const std::size_t allowed = i == step ? few[i] / 10 * heap_mover::most_visits : few[i] + few[i] / 2 + 1000;
    EXPECT_LE(many[i], allowed) << "operation " << i << " with " << few[i] << " instructions before";
    EXPECT_GT(many[i], 10U);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, WorstCase,
                         testing::Values(std::make_pair("ascending", ascending), std::make_pair("too_small", too_small),
                                         std::make_pair("every_second", every_second),
                                         std::make_pair("many_regions", many_regions)),
                         [](const auto& info) { return info.param.first; });

// The one operation that does much at once: what is kept becomes free. It is bounded by what may be kept.
TEST(WorstCaseOfKept, IsBoundedByWhatMayBeKept) {
  Heap h;
  h.add(std::size_t{9} << 20);
  std::vector<void*> blocks;
  for (std::size_t size = 16; size <= 1016; size += 16) {
    for (int i = 0; i < 40; ++i) blocks.push_back(h.get(size));
  }
  void* const much = h.get(std::size_t{7} << 20);  // so that use does not fall by a quarter
  for (void* const p : blocks) h.heap.deallocate(p);
  const std::size_t kept = h.heap.counters().kept_blocks;
  EXPECT_GT(kept, 500U);
  EXPECT_LE(kept, kept_blocks::lists * kept_blocks::most_blocks);
  EXPECT_LE(h.heap.counters().kept, kept_blocks::lists * kept_blocks::most_bytes);
  h.heap.deallocate(much);
  EXPECT_EQ(h.heap.check().fault, heap_fault::none);
}

}  // namespace
}  // namespace strata::mem
