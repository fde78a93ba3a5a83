// SPDX-License-Identifier: Apache-2.0
// Claims: by default each misuse ends the program with a sentence of its own, word for word, and what is known of the
// block: size, alignment, thread, and the stacks that allocated and deallocated it.
#include <gtest/gtest.h>

#include <cstddef>
#include <memory_resource>
#include <string>
#include <thread>

import strata.mem;
import strata.pmr;

// Plain names, to be found in a stack, and not inlined. What they do after a call keeps it from becoming a jump.
extern "C" {
[[gnu::noinline]] void* strata_test_allocates(std::pmr::memory_resource& memory, std::size_t bytes) {
  void* const p = memory.allocate(bytes, 16);
  static_cast<unsigned char*>(p)[0] = 0;
  return p;
}
[[gnu::noinline]] int strata_test_frees(std::pmr::memory_resource& memory, void* p, std::size_t bytes) {
  memory.deallocate(p, bytes, 16);
  return 1;
}
}

namespace strata::pmr {
namespace {

using enum debug_flags;

constexpr const char* address = "0x[0-9a-f]+";

// The lines of a report: the sentence with the pointer as passed, and the block with the stack that allocated it.
std::string report_of(const std::string& sentence, const std::string& passed, const std::string& more = "") {
  return "strata: orders: " + sentence + " \\(block " + address + ", " + passed + ", thread [0-9]+\\)\n" + more +
         "  block " + address + ", 64 bytes aligned to 16, of call [0-9]+\n    allocated by thread [0-9]+\n      #0 " +
         address + " strata_test_allocates\n";
}
const std::string freed_there =
    std::string("(      #.*\n)*    deallocated by thread [0-9]+\n      #0 ") + address + " strata_test_frees\n";

struct DebugAdaptorDeathTest : testing::Test {
  ~DebugAdaptorDeathTest() override {
    if (memory.owns(p)) memory.deallocate(p, 64, 16);
  }
  unsigned char* bytes() { return static_cast<unsigned char*>(p); }

  debug_adaptor<> memory{std::pmr::new_delete_resource(), {.name = "orders"}};
  void* const p = strata_test_allocates(memory, 64);
};

TEST_F(DebugAdaptorDeathTest, WrittenBeyondItsEnd) {
  const auto misuse = [&] {
    bytes()[64] ^= 1;
    strata_test_frees(memory, p, 64);
  };
  EXPECT_DEATH(misuse(), report_of("a block was written beyond its end", "64 bytes aligned to 16",
                                   std::string("  byte ") + address + " is number 1 after its end\n"));
}

TEST_F(DebugAdaptorDeathTest, WrittenBeforeItsStart) {
  const auto misuse = [&] {
    bytes()[-2] ^= 1;
    static_cast<void>(memory.reallocate(p, 64, 65));
  };
  EXPECT_DEATH(misuse(), report_of("a block was written before its start", "64 bytes aligned to 16",
                                   std::string("  byte ") + address + " is number 2 before its start\n"));
}

TEST_F(DebugAdaptorDeathTest, WrittenAfterItWasDeallocated) {
  const auto misuse = [&] {
    memory.set_flags(noreuse);
    strata_test_frees(memory, p, 64);
    bytes()[5] ^= 1;
    memory.set_flags(noreuse | paranoia);
    static_cast<void>(memory.allocate(1));
  };
  EXPECT_DEATH(misuse(), report_of("a block was written after it was deallocated", "64 bytes aligned to 16",
                                   std::string("  byte ") + address + " is number 5 of it, counted from 0\n") +
                             freed_there);
}

TEST_F(DebugAdaptorDeathTest, AnotherSize) {
  EXPECT_DEATH(strata_test_frees(memory, p, 60),
               report_of("a block comes back with another size than it was allocated with", "60 bytes aligned to 16"));
}

TEST_F(DebugAdaptorDeathTest, AnotherAlignment) {
  EXPECT_DEATH(
      memory.deallocate(p, 64, 8),
      report_of("a block comes back with another alignment than it was allocated with", "64 bytes aligned to 8"));
}

TEST_F(DebugAdaptorDeathTest, DeallocatedTwice) {
  const auto misuse = [&] {
    strata_test_frees(memory, p, 64);
    strata_test_frees(memory, p, 64);
  };
  EXPECT_DEATH(misuse(),
               report_of("a block comes back that was deallocated before", "64 bytes aligned to 16") + freed_there);
}

TEST_F(DebugAdaptorDeathTest, InsideABlock) {
  EXPECT_DEATH(strata_test_frees(memory, bytes() + 24, 40),
               report_of("a pointer comes back that lies inside a block and is not its start", "40 bytes aligned to 16",
                         std::string("  byte ") + address + " is number 24 of it, counted from 0\n"));
}

TEST_F(DebugAdaptorDeathTest, OfAnotherMemory) {
  debug_adaptor<> other(std::pmr::new_delete_resource(), {.name = "customers"});
  void* const q = strata_test_allocates(other, 64);
  EXPECT_DEATH(strata_test_frees(memory, q, 64),
               report_of("a block comes back that is of another memory: customers", "64 bytes aligned to 16"));
  other.deallocate(q, 64, 16);
}

TEST_F(DebugAdaptorDeathTest, OfNoBlock) {
  int local = 0;
  EXPECT_DEATH(memory.deallocate(&local, sizeof local, alignof(int)),
               std::string("strata: orders: a pointer comes back that is of no block \\(block ") + address +
                   ", 4 bytes aligned to 4, thread [0-9]+\\)\n$");
}

TEST_F(DebugAdaptorDeathTest, DamageBelow) {
  const auto misuse = [] {
    heap_resource below(std::pmr::new_delete_resource());
    debug_adaptor outer(&below, {.name = "orders", .flags = paranoia});
    auto* const block = static_cast<unsigned char*>(outer.allocate(64));
    block[-24] ^= 0x20;
    static_cast<void>(outer.usable_size(block));
  };
  // Where the heap's words are hidden, the damage is reported when it is done.
  EXPECT_DEATH(misuse(), mem::inspected() ? "AddressSanitizer: use-after-poison"
                                          : "strata: orders: the memory below is damaged: [a-z ]+");
}

TEST_F(DebugAdaptorDeathTest, HandedOutTwice) {
  struct one_block final : std::pmr::memory_resource {
    void* do_allocate(std::size_t, std::size_t) override { return place; }
    void do_deallocate(void*, std::size_t, std::size_t) override {}
    [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
      return this == &other;
    }
    alignas(16) std::byte place[4096];
  };
  const auto misuse = [] {
    one_block below;
    debug_adaptor outer(&below, {.name = "orders"});
    strata_test_allocates(outer, 64);
    strata_test_allocates(outer, 64);
  };
  EXPECT_DEATH(misuse(), report_of("the memory below has handed out a block that it had handed out before",
                                   "64 bytes aligned to 16"));
}

TEST_F(DebugAdaptorDeathTest, LiveAtTheEnd) {
  const auto misuse = [] {
    debug_adaptor leaky(std::pmr::new_delete_resource(), {.name = "orders"});
    for (int i = 0; i < 10; ++i) strata_test_allocates(leaky, 64);
  };
  const std::string block = std::string("  block ") + address +
                            ", 64 bytes aligned to 16, of call [0-9]+\n    allocated by thread [0-9]+\n      #0 " +
                            address + " strata_test_allocates\n(      #.*\n)*";
  EXPECT_DEATH(
      misuse(),
      "strata: orders: destroyed with live blocks: nobody gives them back any more \\(10 blocks, 640 bytes\\)\n" +
          block + block + block + block + block + block + block + block + "$");
}

TEST_F(DebugAdaptorDeathTest, UsedAfterDamage) {
  const auto misuse = [&] {
    const misuse_handler before = set_misuse_handler([](const strata::pmr::misuse&) {});
    bytes()[64] ^= 1;
    strata_test_frees(memory, p, 64);
    set_misuse_handler(before);
    strata_test_allocates(memory, 64);
  };
  EXPECT_DEATH(misuse(), "strata: orders: used after damage was found in it: nothing is served any more\n");
}

TEST_F(DebugAdaptorDeathTest, SaysWhichThreadDidWhat) {
  const auto misuse = [&] {
    std::thread([&] { strata_test_frees(memory, p, 64); }).join();
    strata_test_frees(memory, p, 64);
  };
  EXPECT_DEATH(misuse(),
               "strata: orders: a block comes back that was deallocated before .*, thread 1\\)\n"
               "(.*\n)*    allocated by thread 1\n(.*\n)*    deallocated by thread 2\n");
}

}  // namespace
}  // namespace strata::pmr
