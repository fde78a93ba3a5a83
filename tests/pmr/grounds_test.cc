// SPDX-License-Identifier: Apache-2.0
// Claims: an address is of the smallest ground round it; grounds go one by one, several that touch at once, and all with their owner; there is room for
// more than the table begins with, and when the OS has none nobody is accused. Of every ordered pair of keepers, in a checked build: a block given back to
// the wrong one is told by both names and changes nothing, and the right one still takes it; also where one keeper lives in a block of the other.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <memory_resource>
#include <new>
#include <string>
#include <vector>

#include "tests/os_script/os_script.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

struct told {
  std::string layer;
  std::string sentence;
  std::string detail;
  const void* pointer = nullptr;
};
std::vector<told> all_told;

// --- grounds alone

struct Grounds : testing::Test {
  void SetUp() override {
    if (!mem::checked || mem::inspected()) GTEST_SKIP() << "nothing is noted in this process";
  }
  static std::string name_at(const grounds& asking, const void* p) {
    const finding found = asking.whose(p);
    return found ? found.other.data() : "";
  }

  grounds asking{"asking"};
  alignas(64) std::array<std::byte, 4096> memory{};
  std::byte* const at = memory.data();
};

TEST_F(Grounds, AnAddressIsOfTheSmallestGroundRoundIt) {
  grounds lower("lower");
  grounds upper("upper");
  lower.add(at, 4096);
  upper.add(at + 1024, 1024);
  EXPECT_EQ(name_at(asking, at), "lower");
  EXPECT_EQ(name_at(asking, at + 1023), "lower");
  EXPECT_EQ(name_at(asking, at + 1024), "upper");
  EXPECT_EQ(name_at(asking, at + 2047), "upper");
  EXPECT_EQ(name_at(asking, at + 2048), "lower");
  EXPECT_EQ(name_at(asking, at + 4096), "");
  EXPECT_EQ(name_at(lower, at), "") << "its own";
  EXPECT_EQ(name_at(lower, at + 1024), "upper");
  EXPECT_EQ(name_at(upper, at), "lower");
}

TEST_F(Grounds, OnesThatBeginTogetherAreToldApart) {
  grounds lower("lower");
  grounds upper("upper");
  lower.add(at, 4096);
  EXPECT_TRUE(lower.begins(at));
  EXPECT_FALSE(lower.has_tenant(at));
  upper.add(at, 4096);
  EXPECT_EQ(name_at(asking, at), "upper") << "of two alike, the one that came later";
  EXPECT_TRUE(lower.has_tenant(at));
  EXPECT_FALSE(upper.has_tenant(at)) << "what is below lives in nothing of the upper one's";
  EXPECT_FALSE(lower.has_tenant(at + 1));
  upper.remove(at, 4096);
  EXPECT_FALSE(lower.has_tenant(at));
  EXPECT_TRUE(lower.begins(at));
  EXPECT_FALSE(upper.begins(at));
}

TEST_F(Grounds, ThoseThatTouchGoAtOnceAndAllGoWithTheirOwner) {
  grounds one("one");
  {
    grounds other("other");
    for (std::size_t i = 0; i < 4; ++i) one.add(at + i * 256, 256);
    other.add(at + 1024, 256);
    one.remove(at, 768);
    EXPECT_EQ(name_at(asking, at), "");
    EXPECT_EQ(name_at(asking, at + 767), "");
    EXPECT_EQ(name_at(asking, at + 768), "one");
    EXPECT_EQ(name_at(asking, at + 1024), "other");
  }
  EXPECT_EQ(name_at(asking, at + 1024), "");
  EXPECT_EQ(name_at(asking, at + 768), "one");
}

TEST_F(Grounds, HasRoomForMoreThanItBeginsWith) {
  grounds many("many");
  auto* const first = reinterpret_cast<std::byte*>(std::size_t{1} << 40);
  constexpr std::size_t count = 20'000;
  for (std::size_t i = 0; i < count; ++i) many.add(first + i * 4096, 4096);
  EXPECT_EQ(name_at(asking, first + count * 4096 - 1), "many");
  for (std::size_t i = 0; i < count; i += 2) many.remove(first + i * 4096, 4096);
  EXPECT_EQ(name_at(asking, first), "");
  EXPECT_EQ(name_at(asking, first + 4096), "many");
}

// In a process of its own: the table remembers.
TEST_F(Grounds, WithoutMemoryForTheTableNobodyIsAccused) {
  EXPECT_EXIT(
      {
        grounds many("many");
        auto* const first = reinterpret_cast<std::byte*>(std::size_t{1} << 40);
        test::os_script script;
        script.fail_always(test::os_call::mmap, ENOMEM);
        std::size_t known = 0;
        for (; script.failed(test::os_call::mmap) == 0; ++known) many.add(first + known * 4096, 4096);
        --known;  // the last one was not noted
        const bool none_accused = many.begins(first + known * 4096) && many.begins(first - 4096);
        many.remove(first + known * 4096, 4096);
        const bool lost = name_at(asking, first + known * 4096).empty();
        const bool kept = name_at(asking, first + (known - 1) * 4096) == "many";
        std::_Exit(none_accused && lost && kept ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

// --- pairs of keepers

std::pmr::memory_resource* os() {
  static page_resource* const made = new page_resource({.name = "machine"});
  return made;
}

struct keeper {
  keeper() = default;
  virtual ~keeper() = default;
  keeper(const keeper&) = delete;
  keeper& operator=(const keeper&) = delete;
  virtual void* get(std::size_t bytes) = 0;
  virtual void give(void* p, std::size_t bytes) = 0;
  virtual const layer& itself() const = 0;
  virtual std::pmr::memory_resource* resource() = 0;  // null: serves one type
};

template <class Resource>
struct of final : keeper {
  template <class Options>
  of(std::pmr::memory_resource* below, const Options& options) : made(below, options) {}
  void* get(std::size_t bytes) override { return resource()->allocate(bytes, 16); }
  void give(void* p, std::size_t bytes) override { resource()->deallocate(p, bytes, 16); }
  const layer& itself() const override { return made; }
  std::pmr::memory_resource* resource() override { return &made; }
  Resource made;
};

struct alignas(16) item {
  std::byte bytes[48];
};

struct of_items final : keeper {
  of_items(std::pmr::memory_resource* below, const char* name) : made(below, {.name = name}) {}
  void* get(std::size_t /*bytes*/) override { return made.request(); }
  void give(void* p, std::size_t /*bytes*/) override { made.destroy(static_cast<item*>(p)); }
  const layer& itself() const override { return made; }
  std::pmr::memory_resource* resource() override { return nullptr; }
  object_pool<item> made;
};

struct of_a_mempool final : keeper {
  of_a_mempool(std::pmr::memory_resource* below, const char* name)
      : pool(below, {.name = "pool", .segment_bytes = std::size_t{1} << 20}),
        made(&pool, {.name = name, .item_bytes = 48}) {}
  void* get(std::size_t /*bytes*/) override { return made.request(); }
  void give(void* p, std::size_t /*bytes*/) override { made.recycle(p); }
  const layer& itself() const override { return made; }
  std::pmr::memory_resource* resource() override { return nullptr; }
  mempool_resource<> pool;
  mempool_cache<> made;
};

template <class Resource, class Options>
std::unique_ptr<keeper> make(std::pmr::memory_resource* below, const char* name) {
  Options options;
  options.name = name;
  if constexpr (requires { options.item_bytes; }) options.item_bytes = 48;
  if constexpr (requires { options.region_bytes; }) options.region_bytes = std::size_t{8} << 20;
  if constexpr (requires { options.segment_bytes; }) options.segment_bytes = std::size_t{8} << 20;
  return std::make_unique<of<Resource>>(below, options);
}
template <class Keeper>
std::unique_ptr<keeper> make_of(std::pmr::memory_resource* below, const char* name) {
  return std::make_unique<Keeper>(below, name);
}

struct kind {
  const char* name;
  std::unique_ptr<keeper> (*make)(std::pmr::memory_resource* below, const char* name);
  std::size_t bytes;  // of its blocks
};

using any_memory = std::pmr::memory_resource;
constexpr kind kinds[] = {
    {"slabs", make<slab_resource<>, slabs>, 48},
    {"large blocks of slabs", make<slab_resource<>, slabs>, 100'000},
    {"checked slabs",
     +[](any_memory* below, const char* name) -> std::unique_ptr<keeper> {
       return std::make_unique<of<slab_resource<>>>(below, slabs{.name = name, .checks = true});
     },
     48},
    {"unsynchronized_slabs", make<slab_resource<any_memory, threads::one>, unsynchronized_slabs>, 48},
    {"heap", make<heap_resource<>, heap>, 48},
    {"shared_heap", make<heap_resource<any_memory, threads::any>, shared_heap>, 5000},
    {"fragments", make<fragment_resource<>, fragments>, 512},
    {"mempool's heap", make<mempool_resource<>, mempool>, 48},
    {"mempool's fragments", make<mempool_resource<>, mempool>, 512},
    {"mempool_cache", make_of<of_a_mempool>, 48},
    {"cache", make<named_cache<>, cache>, 48},
    {"other blocks of a cache", make<named_cache<>, cache>, 5000},
    {"unsynchronized_cache", make<named_cache<any_memory, threads::one>, unsynchronized_cache>, 48},
    {"object_pool", make_of<of_items>, 48},
};

struct WrongKeeper : testing::Test {
  void SetUp() override {
    if (!mem::checked) GTEST_SKIP() << "this build is not checked";
    all_told.clear();
    set_misuse_handler([](const misuse& what) {
      all_told.push_back({what.layer, what.sentence, what.detail == nullptr ? "" : what.detail, what.pointer});
    });
  }
  void TearDown() override { set_misuse_handler(nullptr); }

  // `p`, which is of "right", comes back to "wrong".
  static void expect_told(keeper& wrong, void* p, std::size_t bytes) {
    const statistics before = wrong.itself().stats();
    wrong.give(p, bytes);
    ASSERT_EQ(all_told.size(), 1U);
    EXPECT_EQ(all_told[0].layer, "wrong");
    EXPECT_EQ(all_told[0].sentence, "a block comes back that is of another memory");
    EXPECT_EQ(all_told[0].detail, "right");
    EXPECT_EQ(all_told[0].pointer, p);
    all_told.clear();
    const statistics after = wrong.itself().stats();
    EXPECT_EQ(after.live, before.live);
    EXPECT_EQ(after.live_blocks, before.live_blocks);
    expect_sound(wrong);
  }
  static void expect_sound(const keeper& of) {
    const fault found = of.itself().check();
    EXPECT_FALSE(found.found()) << found.sentence;
    EXPECT_TRUE(all_told.empty()) << all_told[0].sentence;
  }
};

TEST_F(WrongKeeper, IsToldWhoseABlockIs) {
  for (const kind& w : kinds) {
    for (const kind& r : kinds) {
      SCOPED_TRACE(std::string("a block of ") + r.name + " given to " + w.name);
      const std::unique_ptr<keeper> wrong = w.make(os(), "wrong");
      const std::unique_ptr<keeper> right = r.make(os(), "right");
      void* const own = wrong->get(w.bytes);
      std::array<void*, 3> blocks{};
      for (void*& p : blocks) p = right->get(r.bytes);
      for (void* const p : blocks) expect_told(*wrong, p, r.bytes);
      for (void* const p : blocks) right->give(p, r.bytes);
      wrong->give(own, w.bytes);
      expect_sound(*right);
      expect_sound(*wrong);
      EXPECT_EQ(right->itself().stats().live_blocks, 0U);
      EXPECT_EQ(wrong->itself().stats().live_blocks, 0U);
    }
  }
}

// Its blocks lie in blocks of the one that they are given to; the first may even begin where that does.
TEST_F(WrongKeeper, IsToldWhoseABlockIsThatLiesInItsOwnMemory) {
  std::size_t pairs = 0;
  for (const kind& w : kinds) {
    for (const kind& r : kinds) {
      SCOPED_TRACE(std::string("a block of ") + r.name + " given to " + w.name + " below it");
      all_told.clear();
      const std::unique_ptr<keeper> wrong = w.make(os(), "wrong");
      if (wrong->resource() == nullptr) continue;
      std::unique_ptr<keeper> right;
      try {
        right = r.make(wrong->resource(), "right");
        right->give(right->get(r.bytes), r.bytes);
      } catch (const std::bad_alloc&) {
        continue;  // too large for it
      }
      ++pairs;
      std::array<void*, 3> blocks{};
      for (void*& p : blocks) p = right->get(r.bytes);
      for (void* const p : blocks) expect_told(*wrong, p, r.bytes);
      for (void* const p : blocks) right->give(p, r.bytes);
      expect_sound(*right);
      EXPECT_EQ(right->itself().stats().live_blocks, 0U);
      right.reset();
      expect_sound(*wrong);
      EXPECT_EQ(wrong->itself().stats().live_blocks, 0U);
    }
  }
  EXPECT_GT(pairs, 100U);
}

// What belongs to nobody is not called another's.
TEST_F(WrongKeeper, IsToldOfWhatIsNobodys) {
  if (mem::inspected()) GTEST_SKIP() << "said in other words";
  for (const kind& w : kinds) {
    SCOPED_TRACE(w.name);
    const std::unique_ptr<keeper> wrong = w.make(os(), "wrong");
    void* const own = wrong->get(w.bytes);
    void* const p = os()->allocate(std::size_t{1} << 18);
    wrong->give(static_cast<std::byte*>(p) + 4096, w.bytes);
    ASSERT_EQ(all_told.size(), 1U);
    EXPECT_EQ(all_told[0].layer, "wrong");
    EXPECT_NE(all_told[0].sentence, "a block comes back that is of another memory");
    all_told.clear();
    os()->deallocate(p, std::size_t{1} << 18);
    wrong->give(own, w.bytes);
    expect_sound(*wrong);
  }
}

}  // namespace
}  // namespace strata::pmr
