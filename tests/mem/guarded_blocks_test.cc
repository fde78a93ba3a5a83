// SPDX-License-Identifier: Apache-2.0
// Claims: a block faults beyond either end and nowhere else; what is written beside it, short of a guard, is found; what
// comes back wrongly is told from what is right, and changes nothing; held blocks fault and go in the order they came;
// half guarded or unguarded blocks are entered unless they must not be; what the OS will not make accessible again is
// kept, counted, and goes later; at the end guards of live blocks are lifted.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "tests/os_script/os_script.h"
#include "tests/platform/faults.h"

import strata.mem;

namespace strata::mem {
namespace {

using test::fault_of_load;
using test::fault_of_store;
using test::os_call;
using test::os_script;

constexpr int install = 102;  // MADV_GUARD_INSTALL
constexpr int remove = 103;   // MADV_GUARD_REMOVE

template <threads Threads>
class with_memory : public guarded_blocks<Threads> {
 public:
  using base = guarded_blocks<Threads>;
  using base::base;

  /// A block with memory of its own.
  typename base::admitted bring(std::size_t bytes, std::size_t alignment = 1, bool must = false) {
    guard_shape size;
    EXPECT_TRUE(base::shape_of(bytes, alignment, size));
    book_entry* const entry = base::promise().entry;
    EXPECT_NE(entry, nullptr);
    const page_run_result got = map_run(size.whole, size.alignment, {});
    EXPECT_NE(got.run.base, nullptr);
    const auto out = base::admit(entry, {got.run.base, size, bytes, alignment}, must);
    if (out.block == nullptr && !out.stranded) EXPECT_FALSE(unmap_run(got.run).failed());
    return out;
  }
  char* block(std::size_t bytes, std::size_t alignment = 1) {
    const auto out = bring(bytes, alignment);
    EXPECT_TRUE(out.guarded);
    return static_cast<char*>(out.block);
  }
  /// Gives the memory back if it goes back.
  bool settle(const typename base::departure& gone) {
    if (gone.start == nullptr) return false;
    EXPECT_EQ(gone.alignment % page_bytes(), 0U) << "as it was asked for";
    std::memset(gone.start, 1, gone.whole);  // accessible, all of it
    EXPECT_FALSE(unmap_run({gone.start, gone.whole}).failed());
    return true;
  }
  /// Whether its memory went back at once.
  bool drop(void* block, std::size_t bytes, std::size_t alignment = 1) {
    const auto taken = base::take(block, bytes, alignment);
    EXPECT_EQ(taken.fault, guarded_fault::none) << describe(taken.fault);
    os_error refused;
    return settle(base::put_away(taken.entry, refused));
  }
  std::size_t let_go(bool all) {
    std::size_t count = 0;
    while (settle(base::next_released(all))) ++count;
    return count;
  }
};

using blocks = with_memory<threads::any>;

struct GuardedBlocks : testing::Test {
  ~GuardedBlocks() override { EXPECT_EQ(page_guards::mappings_claimed(), 0U); }
  std::size_t page = page_bytes();
};

TEST_F(GuardedBlocks, FaultBeyondEitherEndAtTheVeryByte) {
  blocks all({.sides = {}, .hold_bytes = 0});
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{100}, page - 1, page, page + 1, 3 * page}) {
    char* const p = all.block(bytes);
    EXPECT_TRUE(all.may_know(p));
    EXPECT_TRUE(all.is_guarded(p));
    std::memset(p, 'x', bytes);
    EXPECT_EQ(fault_of_store(p + bytes).address, p + bytes);
    EXPECT_EQ(fault_of_load(p + bytes).address, p + bytes);
    const std::size_t before = address(p) % page;  // up to there it is the fill's
    EXPECT_EQ(fault_of_load(p - before - 1).address, p - before - 1);
    EXPECT_EQ(all.check().sentence, nullptr);
    EXPECT_TRUE(all.drop(p, bytes));
    EXPECT_FALSE(all.may_know(p));
  }
  EXPECT_EQ(all.figures().blocks, 0U);
  EXPECT_EQ(all.figures().whole, 0U);
}

TEST_F(GuardedBlocks, FaultBeforeTheirFirstByteWhenTightAtTheStart) {
  blocks all({.sides = {.before = true, .after = false, .tight = guard_edge::start}});
  char* const p = all.block(10);
  EXPECT_EQ(fault_of_store(p - 1).address, p - 1);
  EXPECT_EQ(fault_of_store(p + page - 1).signal, 0) << "no guard was wanted there,";
  EXPECT_EQ(all.check().sentence, nullptr) << "and the fill does not reach so far";
  EXPECT_TRUE(all.drop(p, 10));
}

TEST_F(GuardedBlocks, OfNoBytesHaveNone) {
  blocks all(guarded_plan{});
  char* const p = all.block(0);
  char* const q = all.block(0, 64);
  EXPECT_NE(p, q);
  EXPECT_EQ(fault_of_store(p).address, p);
  EXPECT_EQ(fault_of_store(p - 1).address, p - 1);
  EXPECT_TRUE(all.drop(p, 0));
  EXPECT_TRUE(all.drop(q, 0, 64));
}

TEST_F(GuardedBlocks, FindEveryByteWrittenBesideThem) {
  blocks all(guarded_plan{});
  char* const p = all.block(20, 16);  // twelve bytes short of the guard
  for (int i = 20; i < 32; ++i) {
    const char kept = p[i];
    p[i] = '0';
    const auto taken = all.take(p, 20, 16);
    EXPECT_EQ(taken.fault, guarded_fault::overrun);
    EXPECT_EQ(taken.where, p + i);
    EXPECT_EQ(all.check().where, p + i);
    EXPECT_STREQ(all.check().sentence, describe(guarded_fault::overrun));
    p[i] = kept;
  }
  for (int i = 1; i <= static_cast<int>(blocks::fill_bytes); ++i) {
    const char kept = p[-i];
    p[-i] = '0';
    EXPECT_EQ(all.take(p, 20, 16).fault, guarded_fault::underrun) << i;
    EXPECT_EQ(all.take(p, 20, 16).where, p - i);
    p[-i] = kept;
  }
  EXPECT_EQ(all.check().sentence, nullptr);
  EXPECT_TRUE(all.drop(p, 20, 16));
}

TEST_F(GuardedBlocks, TellWrongReturnsAndStay) {
  blocks all({.hold_bytes = 100 * page});
  char* const p = all.block(20, 4);
  EXPECT_EQ(all.take(p + 4, 20, 4).fault, guarded_fault::absent);
  EXPECT_EQ(all.take(nullptr, 20, 4).fault, guarded_fault::absent);
  const auto size = all.take(p, 21, 4);
  EXPECT_EQ(size.fault, guarded_fault::other_size);
  EXPECT_EQ(size.bytes, 20U);
  const auto alignment = all.take(p, 20, 8);
  EXPECT_EQ(alignment.fault, guarded_fault::other_alignment);
  EXPECT_EQ(alignment.alignment, 4U);
  EXPECT_EQ(all.figures().blocks, 1U);
  EXPECT_FALSE(all.drop(p, 20, 4)) << "held";
  EXPECT_EQ(all.take(p, 20, 4).fault, guarded_fault::freed_twice);
  EXPECT_EQ(all.let_go(true), 1U);
  EXPECT_EQ(all.take(p, 20, 4).fault, guarded_fault::absent);
}

TEST_F(GuardedBlocks, HeldFaultAndGoInTheOrderTheyCame) {
  const std::size_t each = 3 * page;
  blocks all({.hold_bytes = 3 * each});
  std::vector<char*> p;
  for (int i = 0; i < 5; ++i) p.push_back(all.block(100));
  for (char* const q : p) EXPECT_FALSE(all.drop(q, 100));
  EXPECT_EQ(all.figures().held, 5 * each);
  for (char* const q : p) {
    EXPECT_EQ(fault_of_load(q).address, q);
    EXPECT_EQ(fault_of_store(q + 99).address, q + 99);
  }
  EXPECT_EQ(all.let_go(false), 2U);
  EXPECT_FALSE(all.may_know(p[0]) && all.take(p[0], 100, 1).fault == guarded_fault::freed_twice);
  EXPECT_FALSE(all.may_know(p[1]) && all.take(p[1], 100, 1).fault == guarded_fault::freed_twice);
  EXPECT_EQ(all.take(p[2], 100, 1).fault, guarded_fault::freed_twice);
  EXPECT_EQ(all.figures().held, 3 * each);
  EXPECT_EQ(all.let_go(true), 3U);
  EXPECT_EQ(all.figures().held, 0U);
  char* const large = all.block(10 * page);
  EXPECT_TRUE(all.drop(large, 10 * page)) << "more than is held at all";
}

TEST_F(GuardedBlocks, DoTheSameByProtection) {
  os_script script;
  script.fail_advice(install, EINVAL);
  script.fail_advice(remove, EINVAL);
  blocks all({.hold_bytes = 100 * page, .mapping_budget = 1000});
  EXPECT_TRUE(all.guards().costs_mappings());
  char* const p = all.block(100);
  EXPECT_EQ(all.figures().protected_now, 1U);
  EXPECT_EQ(page_guards::mappings_claimed(), 4U);
  EXPECT_EQ(fault_of_store(p + 100).address, p + 100);
  EXPECT_FALSE(all.drop(p, 100));
  EXPECT_EQ(all.figures().protected_now, 0U);
  EXPECT_EQ(fault_of_store(p).address, p);
  EXPECT_EQ(page_guards::mappings_claimed(), 6U);
  EXPECT_EQ(all.let_go(true), 1U);
}

TEST_F(GuardedBlocks, BeyondTheBudgetAreHalfGuardedOrNot) {
  os_script script;
  script.fail_advice(install, EINVAL);
  blocks all({.mapping_budget = 3});
  EXPECT_FALSE(all.has_room());
  const auto half = all.bring(100);
  EXPECT_FALSE(half.guarded);
  EXPECT_TRUE(half.over_budget);
  EXPECT_FALSE(all.is_guarded(half.block));
  EXPECT_EQ(fault_of_load(static_cast<char*>(half.block) + 100).signal, 0);
  const auto none = all.bring(100, 1, true);
  EXPECT_EQ(none.block, nullptr);
  EXPECT_TRUE(none.over_budget);
  EXPECT_FALSE(none.stranded);
  EXPECT_EQ(all.figures().blocks, 1U);
  EXPECT_TRUE(all.drop(half.block, 100));
}

TEST_F(GuardedBlocks, RefusedByTheOsAreEnteredUnlessTheyMustBeGuarded) {
  blocks all(guarded_plan{});
  for (unsigned nth = 1; nth <= 2; ++nth) {
    os_script script;
    script.fail(all.guards().costs_mappings() ? os_call::mprotect : os_call::madvise, nth, ENOMEM);
    const auto half = all.bring(100);
    EXPECT_FALSE(half.guarded);
    EXPECT_FALSE(half.over_budget);
    EXPECT_EQ(half.error.code, ENOMEM);
    EXPECT_FALSE(all.is_guarded(half.block));
    EXPECT_TRUE(all.drop(half.block, 100));
    script.fail(all.guards().costs_mappings() ? os_call::mprotect : os_call::madvise, nth, ENOMEM);
    const auto none = all.bring(100, 1, true);
    EXPECT_EQ(none.block, nullptr);
    EXPECT_EQ(none.error.code, ENOMEM);
    EXPECT_FALSE(none.stranded);
    EXPECT_EQ(all.figures().blocks, 0U);
    EXPECT_EQ(all.check().sentence, nullptr);
  }
}

TEST_F(GuardedBlocks, ThatCannotBeMadeAccessibleAreKeptAndGoLater) {
  blocks all(guarded_plan{});
  if (all.guards().costs_mappings())
    GTEST_SKIP() << "this kernel has no marks (before 6.13), or AddressSanitizer cannot stand them";
  char* const p = all.block(100);
  {
    os_script script;
    script.fail_advice(remove, ENOMEM);
    const auto taken = all.take(p, 100, 1);
    os_error refused;
    EXPECT_EQ(all.put_away(taken.entry, refused).start, nullptr);
    EXPECT_EQ(refused.code, ENOMEM);
    EXPECT_EQ(all.figures().stranded, 3 * page);
    EXPECT_EQ(all.figures().held, 3 * page);
    EXPECT_EQ(all.take(p, 100, 1).fault, guarded_fault::freed_twice);
    EXPECT_EQ(all.let_go(false), 0U);
    EXPECT_EQ(all.figures().stranded, 3 * page) << "counted once";
    script.fail(os_call::madvise, 2, EPERM);  // the second guard; and taking the first away is refused as well
    const auto none = all.bring(50, 1, true);
    EXPECT_EQ(none.block, nullptr);
    EXPECT_TRUE(none.stranded);
    EXPECT_EQ(all.figures().stranded, 6 * page);
    EXPECT_EQ(all.check().sentence, nullptr);
  }
  EXPECT_EQ(all.let_go(false), 2U);
  EXPECT_EQ(all.figures().stranded, 0U);
  EXPECT_EQ(all.figures().held, 0U);
}

TEST_F(GuardedBlocks, LoseTheirGuardsWhenTheOwnerEnds) {
  page_run memory;
  char* p = nullptr;
  {
    with_memory<threads::one> all(guarded_plan{});
    p = all.block(100);
    memory = {reinterpret_cast<char*>(round_down(address(p), page)) - page, 3 * page};
    EXPECT_EQ(fault_of_store(p + 100).address, p + 100);
  }
  EXPECT_EQ(fault_of_store(p + 100).signal, 0);
  std::memset(memory.base, 1, memory.bytes);
  EXPECT_FALSE(unmap_run(memory).failed());
}

}  // namespace
}  // namespace strata::mem
