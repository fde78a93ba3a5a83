// SPDX-License-Identifier: Apache-2.0
// Claims: single objects of a pooled class come from its pool, whichever form of new makes them; derived classes of
// another size and arrays do not; over-aligned classes are aligned; a constructor that throws gives the room back;
// objects may be made and deleted by static objects that end before or after the pool was first used; each class has
// a pool of its own, named after it.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

import strata.pmr;

namespace strata::pmr {
namespace {

struct node : pooled<node> {
  node() = default;
  explicit node(int v) : value(v) {}
  virtual ~node() = default;
  int value = 0;
};
struct wide_node : node {
  std::byte more[100] = {};
};
struct same_node : node {};
struct alignas(64) line : pooled<line> {
  std::byte bytes[64] = {};
};
struct alignas(128) wide_line : line {
  std::byte more[64] = {};
};
struct bomb : pooled<bomb> {
  explicit bomb(bool explode) {
    if (explode) throw std::runtime_error("no");
  }
  int value = 0;
};

template <class T>
std::size_t pooled_objects() {
  return T::pool().stats().live_blocks;
}

TEST(Pooled, NamesEachPoolAfterItsClass) {
  EXPECT_STREQ(node::pool().name(), "pooled<strata::pmr::(anonymous namespace)::node>");
  EXPECT_STREQ(line::pool().name(), "pooled<strata::pmr::(anonymous namespace)::line>");
}

TEST(Pooled, TakesObjectsFromThePool) {
  const std::size_t before = pooled_objects<node>();
  node* const n = new node(7);
  EXPECT_TRUE(node::pool().is_live(n));
  EXPECT_EQ(pooled_objects<node>(), before + 1);
  delete n;
  EXPECT_EQ(pooled_objects<node>(), before);
  const node* const nothing = nullptr;
  delete nothing;
  const auto owned = std::make_unique<node>(3);
  EXPECT_EQ(owned->value, 3);
  EXPECT_EQ(pooled_objects<node>(), before + 1);
}

TEST(Pooled, TakesNothrowObjectsFromThePool) {
  node* const n = new (std::nothrow) node(7);
  EXPECT_TRUE(node::pool().is_live(n));
  delete n;
}

TEST(Pooled, LeavesDerivedClassesToTheGlobalNew) {
  const std::size_t before = pooled_objects<node>();
  node* const n = new wide_node;
  EXPECT_FALSE(node::pool().is_live(n));
  EXPECT_EQ(pooled_objects<node>(), before);
  delete n;  // through the base: the destructor is virtual
  node* const same = new same_node;
  EXPECT_TRUE(node::pool().is_live(same));
  delete same;
  EXPECT_EQ(pooled_objects<node>(), before);
}

TEST(Pooled, LeavesArraysToTheGlobalNew) {
  const std::size_t before = pooled_objects<node>();
  const node* const many = new node[5];
  const node* const one = new node[1];
  const node* const quiet = new (std::nothrow) node[3];
  const line* const lines = new line[3];
  const line* const quiet_lines = new (std::nothrow) line[3];
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(lines) % alignof(line), 0U);
  EXPECT_EQ(pooled_objects<node>(), before);
  EXPECT_EQ(pooled_objects<line>(), 0U);
  delete[] many;
  delete[] one;
  delete[] quiet;
  delete[] lines;
  delete[] quiet_lines;
}

TEST(Pooled, AlignsOverAlignedClasses) {
  std::vector<std::unique_ptr<line>> lines;
  for (int i = 0; i < 100; ++i) {
    lines.emplace_back(i % 2 == 0 ? new line : new (std::nothrow) line);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(lines.back().get()) % alignof(line), 0U);
    EXPECT_TRUE(line::pool().is_live(lines.back().get()));
  }
  const auto wide = std::make_unique<wide_line>();
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(wide.get()) % alignof(wide_line), 0U);
  EXPECT_EQ(pooled_objects<line>(), 100U);
}

TEST(Pooled, TakesBackTheRoomOfWhatCouldNotBeConstructed) {
  const std::size_t before = bomb::pool().stats().allocations;
  EXPECT_THROW(delete new bomb(true), std::runtime_error);
  EXPECT_THROW(delete new (std::nothrow) bomb(true), std::runtime_error);
  EXPECT_EQ(pooled_objects<bomb>(), 0U);
  EXPECT_EQ(bomb::pool().stats().allocations, before + 2);
  delete new bomb(false);
}

TEST(Pooled, ConstructsInAPlaceGiven) {
  alignas(node) std::byte place[sizeof(node)];
  node* const n = new (place) node(5);
  EXPECT_EQ(static_cast<void*>(n), static_cast<void*>(place));
  n->~node();
}

TEST(Pooled, MakesItsPoolOnceForAllThreads) {
  struct first_seen : pooled<first_seen> {
    int value = 0;
  };
  std::vector<std::thread> crew;
  for (int t = 0; t < 4; ++t) {
    crew.emplace_back([] {
      for (int i = 0; i < 1000; ++i) delete new first_seen;
    });
  }
  for (std::thread& t : crew) t.join();
  EXPECT_EQ(first_seen::pool().stats().allocations, 4000U);
  EXPECT_EQ(pooled_objects<first_seen>(), 0U);
}

template <int Which>
struct late : pooled<late<Which>> {
  int value = 42;
};

/// Owns a pooled object to the end of the process, makes one more then, and says so.
template <class T>
struct holder {
  ~holder() {
    const bool whole = held == nullptr || held->value == 42;
    delete held;
    delete new T;
    std::fprintf(stderr, "%s\n", whole && T::pool().stats().live_blocks == 0 ? "ended well" : "ended badly");
  }
  T* held = nullptr;
};

TEST(PooledDeathTest, OutlivesAStaticObjectMadeBeforeThePool) {
  EXPECT_EXIT(
      {
        static holder<late<1>> before;  // ends last
        before.held = new late<1>;
        std::exit(0);
      },
      testing::ExitedWithCode(0), "ended well");
}

TEST(PooledDeathTest, OutlivesAStaticObjectMadeAfterThePool) {
  EXPECT_EXIT(
      {
        auto* const made = new late<2>;
        static holder<late<2>> after;
        after.held = made;
        std::exit(0);
      },
      testing::ExitedWithCode(0), "ended well");
}

TEST(PooledDeathTest, MayBeUsedForTheFirstTimeInStaticDestruction) {
  EXPECT_EXIT(
      {
        static const holder<late<3>> only;
        std::exit(0);
      },
      testing::ExitedWithCode(0), "ended well");
}

TEST(PooledDeathTest, DeletingTwicePrintsASentenceAndAborts) {
  void* const p = bomb::operator new(sizeof(bomb));
  bomb::operator delete(p, sizeof(bomb));
  EXPECT_DEATH(bomb::operator delete(p, sizeof(bomb)),
               "strata: pooled<.*bomb>: (the slot is free already|a block comes back that was deallocated before)");
}

}  // namespace
}  // namespace strata::pmr
