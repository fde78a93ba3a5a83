// SPDX-License-Identifier: Apache-2.0
// Claim: where the resource says thread_safe, four threads may allocate, hand blocks to each other and free each
// other's, threads may come and go, and blocks outlive the thread that asked for them.
#include <array>
#include <latch>
#include <mutex>
#include <new>
#include <thread>

#include "tests/support/conformance.h"

namespace strata::test {
namespace {

constexpr int kThreads = 4;

/// Blocks on their way from one thread to another. Handing over is what orders the threads: the resource need not.
class mailbox {
 public:
  void put(const owned_block& block) {
    const std::lock_guard lock(mutex_);
    blocks_.push_back(block);
  }
  bool take(owned_block& block) {
    const std::lock_guard lock(mutex_);
    if (blocks_.empty()) return false;
    block = blocks_.back();
    blocks_.pop_back();
    return true;
  }

 private:
  std::mutex mutex_;
  own_vector<owned_block> blocks_;
};

struct work {
  std::pmr::memory_resource* resource;
  std::uint64_t seed;
  std::size_t steps;
  std::size_t max_bytes;
  std::size_t max_alignment;
  std::size_t max_live_bytes;
};

/// A few blocks each, and a moment at which all threads hold theirs: of two owners of one block, one then finds the
/// other's pattern.
void hold_together(const work& todo, ownership_table& table, std::latch& all_hold) {
  try {
    for (std::size_t i = 0; i < 16; ++i) {
      table.allocate(*todo.resource, std::min<std::size_t>(todo.max_bytes, i * 8),
                     std::min<std::size_t>(todo.max_alignment, 8));
    }
  } catch (const std::bad_alloc&) {
    ADD_FAILURE() << "std::bad_alloc for a few small blocks";
  }
  all_hold.arrive_and_wait();
  table.verify();
}

void step(const work& todo, random_requests& random, ownership_table& table, mailbox& in, mailbox& out) {
  const std::size_t action = random.below(8);
  if (owned_block handed; action == 0 && in.take(handed)) {
    table.enter_owned(handed);
  } else if (action == 1 && table.size() != 0) {
    out.put(table.take(random.below(table.size())));
  } else if (table.size() > 300 || (action < 4 && table.size() != 0)) {
    table.deallocate(*todo.resource, random.below(table.size()));
  } else {
    const std::size_t bytes =
        random.once_in(64) ? random.bytes() : random.below(std::min<std::size_t>(todo.max_bytes, 2048));
    const std::size_t alignment = random.alignment();
    if (table.bytes() + bytes + alignment <= todo.max_live_bytes) table.allocate(*todo.resource, bytes, alignment);
  }
}

/// What is still held at the end goes to `out`, all of it.
void run(const work& todo, mailbox& in, mailbox& out, std::latch& all_hold) {
  random_requests random(todo.seed, todo.max_bytes, todo.max_alignment);
  ownership_table table;
  hold_together(todo, table, all_hold);
  try {
    for (std::size_t i = 0; i < todo.steps; ++i) step(todo, random, table, in, out);
  } catch (const std::bad_alloc&) {
    ADD_FAILURE() << "std::bad_alloc with " << table.bytes() << " bytes held by this thread";
  }
  while (table.size() != 0) out.put(table.take(table.size() - 1));
}

}  // namespace

TEST_P(Conformance, ServesFourThreadsThatHandBlocksToEachOther) {
  if (!known().thread_safe) GTEST_SKIP() << "not promised by this resource";
  constexpr std::size_t kRounds = 4;  // each with new threads
  const std::uint64_t seed = random_seed();
  SCOPED_TRACE("STRATA_SEED=" + std::to_string(seed));
  instance tested = make();
  std::array<mailbox, kThreads> boxes;
  for (std::size_t round = 0; round < kRounds && !HasFailure(); ++round) {
    std::latch start(kThreads);
    std::latch all_hold(kThreads);
    std::array<std::jthread, kThreads> threads;
    for (std::size_t t = 0; t < kThreads; ++t) {
      threads[t] = std::jthread([&, t, round] {
        const work todo{tested.get(),
                        seed + round * kThreads + t,
                        random_steps() / (kRounds * kThreads),
                        std::min<std::size_t>(max_bytes(), 65536),
                        std::min<std::size_t>(max_alignment(), 4096),
                        known().max_live_bytes / (4 * kThreads)};
        start.arrive_and_wait();
        run(todo, boxes[t], boxes[(t + 1) % kThreads], all_hold);
      });
    }
  }
  ownership_table left;
  for (mailbox& box : boxes) {
    for (owned_block block; box.take(block);) left.enter_owned(block);
  }
  left.deallocate_all(*tested);
}

}  // namespace strata::test
