// SPDX-License-Identifier: Apache-2.0
// Claims: a layer knows its name and upstreams; check() and collect() go down the line, source first, and end at what is
// no layer; with two upstreams they go down both, and what both share has one row; a call through the class itself
// reaches the layer's own code; equality is identity; an upstream that dies before its borrower is reported, with both
// names, a second one too, and is not touched by the end of the loan; adaptors say by name which blocks nobody gives
// back, and whose they are, unless what is below takes them back by itself; a layer used after its destruction says so:
// static ones, ones whose storage is kept, and members.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <memory_resource>
#include <new>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

// The least a layer can be.
class plain final : public direct_layer<plain> {
 public:
  explicit plain(const char* name, std::pmr::memory_resource* upstream,
                 std::pmr::memory_resource* second = nullptr) noexcept
      : direct_layer(name, upstream, second) {}

  [[nodiscard]] statistics stats() const noexcept override { return {.live = live}; }
  [[nodiscard]] fault check() const noexcept override {
    return broken ? fault{"it is broken", this} : direct_layer::check();
  }

  std::size_t live = 0;
  bool broken = false;

 private:
  friend direct_layer;
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    live += bytes;
    return upstream()->allocate(bytes, alignment);
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    live -= bytes;
    upstream()->deallocate(p, bytes, alignment);
  }
};

struct Layer : testing::Test {
  plain low{"low", std::pmr::new_delete_resource()};
  plain high{"high", &low};
};

TEST_F(Layer, KnowsItsNameAndUpstream) {
  EXPECT_STREQ(high.name(), "high");
  EXPECT_EQ(high.upstream(), &low);
}

TEST_F(Layer, CollectsTheLineSourceFirst) {
  report rows;
  high.collect(rows);
  ASSERT_EQ(rows.rows().size(), 2U);
  EXPECT_STREQ(rows.rows()[0].name, "low");
  EXPECT_STREQ(rows.rows()[1].name, "high");
}

TEST_F(Layer, CheckGoesDownTheLine) {
  EXPECT_FALSE(high.check().found());
  low.broken = true;
  EXPECT_EQ(high.check().where, &low);
}

TEST_F(Layer, HasNoSecondUpstreamUnlessItIsGivenOne) {
  EXPECT_EQ(high.second_upstream(), nullptr);
  plain forked("forked", &low, &high);
  EXPECT_EQ(forked.upstream(), &low);
  EXPECT_EQ(forked.second_upstream(), &high);
}

std::string names_of(const report& rows) {
  std::string names;
  for (const report::row& r : rows.rows()) names += std::string(r.branch, '>') + r.name + " ";
  return names;
}

TEST_F(Layer, CollectsBothLinesTheFirstUpstreamsBeforeTheSecondOnes) {
  plain other("other", std::pmr::new_delete_resource());
  plain above_other("above other", &other);
  plain forked("forked", &high, &above_other);
  const plain top("top", &forked);
  report rows;
  top.collect(rows);
  EXPECT_EQ(names_of(rows), "low high >other >above other forked top ");
  report first_line(report::reach::first_upstreams);
  top.collect(first_line);
  EXPECT_EQ(names_of(first_line), "low high forked top ");
}

TEST_F(Layer, WhatBothUpstreamsShareHasOneRow) {
  plain beside("beside", &low);
  const plain forked("forked", &high, &beside);
  report rows;
  forked.collect(rows);
  EXPECT_EQ(names_of(rows), "low high >beside forked ");
}

TEST_F(Layer, CheckGoesDownBothLines) {
  plain other("other", std::pmr::new_delete_resource());
  const plain forked("forked", &high, &other);
  EXPECT_FALSE(forked.check().found());
  other.broken = true;
  EXPECT_EQ(forked.check().where, &other);
  low.broken = true;
  EXPECT_EQ(forked.check().where, &low);
}

TEST_F(Layer, ServesThroughTheClassAndThroughTheInterface) {
  void* const p = high.allocate(10);
  std::pmr::memory_resource& interface = high;
  void* const q = interface.allocate(20);
  EXPECT_EQ(high.live, 30U);
  EXPECT_EQ(low.live, 30U);
  interface.deallocate(p, 10);
  high.deallocate(q, 20);
  EXPECT_EQ(low.live, 0U);
}

TEST_F(Layer, IsEqualToItselfAlone) {
  const plain twin{"high", &low};
  EXPECT_TRUE(high == high);
  EXPECT_FALSE(high == twin);
  EXPECT_FALSE(high == *std::pmr::new_delete_resource());
}

// What was reported while it lives, as printed.
class reports {
 public:
  reports() {
    all().clear();
    set_misuse_handler([](const misuse& what) { all().emplace_back(misuse_error(what).what()); });
  }
  ~reports() { set_misuse_handler(nullptr); }
  reports(const reports&) = delete;
  reports& operator=(const reports&) = delete;

  static std::vector<std::string>& all() {
    static std::vector<std::string> told;
    return told;
  }
};

using told = std::vector<std::string>;

TEST(LayerLifetime, AnUpstreamThatDiesFirstIsReportedWithBothNames) {
  const reports kept;
  std::optional<plain> low(std::in_place, "low", std::pmr::new_delete_resource());
  std::optional<plain> high(std::in_place, "high", &*low);
  low.reset();
  EXPECT_EQ(reports::all(), told{"strata: low: destroyed while another layer still borrows it: destroy the upper one "
                                 "first: \"high\""});
  high.reset();
  EXPECT_EQ(reports::all().size(), 1U);
}

TEST(LayerLifetime, OfManyBorrowersTheFirstIsNamed) {
  const reports kept;
  std::optional<plain> low(std::in_place, "low", std::pmr::new_delete_resource());
  const plain first("first", &*low);
  const plain second("second", std::pmr::new_delete_resource(), &*low);
  std::optional<plain> gone(std::in_place, "gone", &*low);
  const plain third("third", &*low);
  gone.reset();
  low.reset();
  EXPECT_EQ(reports::all(), told{"strata: low: destroyed while another layer still borrows it: destroy the upper one "
                                 "first: \"first\" and 2 more"});
}

// The storage of an upstream that died is somebody else's: the end of the loan leaves it alone, and so do questions.
TEST(LayerLifetime, WhatBorrowedTheDeadDoesNotTouchIt) {
  const reports kept;
  alignas(plain) std::byte storage[sizeof(plain)];
  auto* const low = ::new (storage) plain("low", std::pmr::new_delete_resource());
  std::optional<plain> high(std::in_place, "high", low);
  low->~plain();
  for (std::byte& each : storage) each = std::byte{0x5A};
  EXPECT_FALSE(high->check().found());
  report rows;
  high->collect(rows);
  EXPECT_EQ(rows.rows().size(), 1U);
  high.reset();
  for (const std::byte each : storage) ASSERT_EQ(each, std::byte{0x5A});
}

// An adaptor with one live block over `below`, destroyed; what that reports. The block goes back in the end.
template <class Adaptor, class Options, class Below>
told leave_one_live(Below& below, const Options& options) {
  const reports kept;
  void* p = nullptr;
  {
    Adaptor above(&below, options);
    p = above.allocate(100);
  }
  told told = reports::all();
  if constexpr (!std::is_same_v<Options, sizeless>) below.deallocate(p, 100);
  return told;
}

TEST(LayerLifetime, AdaptorsSayWhoseBlocksNobodyGivesBack) {
  if (!mem::checked) GTEST_SKIP() << "this build is not checked";
  const std::string says =
      ": destroyed with live blocks: nobody gives them back to their upstream any more: upstream \"pages\" (1 block, "
      "100 bytes)";
  page_resource below;
  EXPECT_EQ((leave_one_live<limit_adaptor<page_resource>>(below, limit{.bytes = 1 << 20})),
            told{"strata: limit" + says});
  EXPECT_EQ((leave_one_live<locked_adaptor<page_resource>>(below, locked{.strict = false})),
            told{"strata: locked" + says});
  EXPECT_EQ((leave_one_live<large_page_adaptor<page_resource>>(below, large_pages{})),
            told{"strata: large_pages" + says});
  EXPECT_EQ((leave_one_live<synchronized_adaptor<page_resource>>(below, synchronized{})),
            told{"strata: synchronized" + says});
  // Through another adaptor, and where the type is not known.
  limit_adaptor between(&below, limit{.name = "between", .bytes = 1 << 20});
  std::pmr::memory_resource& unknown = between;
  EXPECT_EQ((leave_one_live<limit_adaptor<>>(unknown, limit{.bytes = 1 << 20})).at(0).find("strata: limit: destroyed"),
            0U);
}

TEST(LayerLifetime, ASizelessBlockThatNobodyGivesBackIsReportedToo) {
  if (!mem::checked) GTEST_SKIP() << "this build is not checked";
  const reports kept;
  {
    page_resource below;
    sizeless_adaptor above(&below);
    static_cast<void>(above.allocate(100));
  }
  ASSERT_EQ(reports::all().size(), 2U);  // then the pages too
  EXPECT_NE(reports::all()[0].find("strata: sizeless: destroyed with live blocks"), std::string::npos);
  EXPECT_NE(reports::all()[1].find("strata: pages: destroyed with live blocks"), std::string::npos);
}

// As the standard's pools do: dropping what is in them is no fault, also through adaptors.
TEST(LayerLifetime, BlocksThatGoBackByThemselvesMayLive) {
  const reports kept;
  page_resource pages;
  {
    slab_resource keeper(&pages);
    limit_adaptor capped(&keeper, limit{.bytes = 1 << 20});
    limit_adaptor twice(&capped, limit{.bytes = 1 << 20});
    static_cast<void>(twice.allocate(100));
  }
  {
    std::pmr::monotonic_buffer_resource unknown;
    limit_adaptor capped(static_cast<std::pmr::memory_resource*>(&unknown), limit{.bytes = 1 << 20});
    static_cast<void>(capped.allocate(100));
  }
  {
    std::pmr::monotonic_buffer_resource unknown;
    stack memory{borrowed{&unknown}, limit{.bytes = 1 << 20}};
    static_cast<void>(memory.allocate(100));
  }
  EXPECT_EQ(reports::all(), told{});
}

TEST(LayerDeathTest, ASecondUpstreamThatDiesFirstIsReportedByName) {
  const auto destroy = [] {
    auto second = std::make_unique<plain>("second", std::pmr::new_delete_resource());
    const plain high("high", std::pmr::new_delete_resource(), second.get());
    second.reset();
  };
  EXPECT_DEATH(destroy(), "strata: second: destroyed while another layer still borrows it: .*: \"high\"");
}

// --- used after destruction ------------------------------------------------------------------------------------------

class LayerRemains : public testing::Test {
 protected:
  void SetUp() override {
    if (!mem::checked) GTEST_SKIP() << "this build is not checked";
  }
};

TEST_F(LayerRemains, SayWhoWasUsedAfterItsDestruction) {
  const reports kept;
  alignas(plain) std::byte storage[sizeof(plain)];
  std::pmr::memory_resource* const memory = ::new (storage) plain("gone", std::pmr::new_delete_resource());
  void* const p = memory->allocate(10);
  memory->~memory_resource();
  EXPECT_THROW(static_cast<void>(memory->allocate(10, 8)), allocation_error);
  memory->deallocate(p, 10, 8);
  EXPECT_TRUE(memory->is_equal(*memory));
  EXPECT_FALSE(memory->is_equal(*std::pmr::new_delete_resource()));
  ASSERT_EQ(reports::all().size(), 2U);
  EXPECT_EQ(reports::all()[0], "strata: gone: used after its destruction: asked for a block");
  EXPECT_EQ(reports::all()[1].find("strata: gone: used after its destruction: given a block back (block 0x"), 0U);
  std::pmr::new_delete_resource()->deallocate(p, 10);
}

TEST_F(LayerRemains, AreLeftByMembersToo) {
  const reports kept;
  struct owner {
    page_resource pages;
    limit_adaptor<page_resource> capped{&pages, limit{.name = "member", .bytes = 1 << 20}};
  };
  alignas(owner) std::byte storage[sizeof(owner)];
  auto* const made = ::new (storage) owner;
  std::pmr::memory_resource* const memory = &made->capped;
  made->~owner();
  EXPECT_THROW(static_cast<void>(memory->allocate(10)), std::bad_alloc);
  EXPECT_EQ(reports::all(), told{"strata: member: used after its destruction: asked for a block"});
}

TEST_F(LayerRemains, AreLeftByAStackAndItsLayers) {
  const reports kept;
  using memory_type = stack<pages, slabs>;
  alignas(memory_type) std::byte storage[sizeof(memory_type)];
  auto* const made = ::new (storage) memory_type(pages{}, slabs{.name = "orders"});
  std::pmr::memory_resource* const whole = made;
  std::pmr::memory_resource* const top = &made->top();
  made->~memory_type();
  EXPECT_THROW(static_cast<void>(whole->allocate(10)), std::bad_alloc);
  EXPECT_THROW(static_cast<void>(top->allocate(10)), std::bad_alloc);
  EXPECT_EQ(reports::all(), (told{"strata: stack: used after its destruction: asked for a block",
                                  "strata: orders: used after its destruction: asked for a block"}));
}

// The vector is made before the stack it uses, so it goes after it.
[[noreturn]] void outlive_a_static_stack() {
  static std::optional<std::pmr::vector<int>> numbers;
  static stack memory{pages{}, slabs{.name = "early"}};
  static std::pmr::memory_resource* const top = &memory.top();
  numbers.emplace(100, 1, top);
  std::exit(0);
}

TEST_F(LayerRemains, OfAStaticStackAnswerToWhatOutlivesIt) {
  EXPECT_DEATH(outlive_a_static_stack(), "strata: early: used after its destruction: given a block back");
}

}  // namespace
}  // namespace strata::pmr
