// SPDX-License-Identifier: Apache-2.0
// Claims: a layer knows its name and upstreams; check() and collect() go down the line, source first, and end at what is
// no layer; with two upstreams they go down both, and what both share has one row; a call through the class itself
// reaches the layer's own code; equality is identity; an upstream that dies before its borrower is reported by name,
// a second one too.
#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <memory_resource>
#include <string>
#include <utility>

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

void destroy_upstream_first() {
  auto low = std::make_unique<plain>("low", std::pmr::new_delete_resource());
  const plain high("high", low.get());
  low.reset();
}

void destroy_second_upstream_first() {
  auto second = std::make_unique<plain>("second", std::pmr::new_delete_resource());
  const plain high("high", std::pmr::new_delete_resource(), second.get());
  second.reset();
}

TEST(LayerDeathTest, ASecondUpstreamThatDiesFirstIsReportedByName) {
  EXPECT_DEATH(destroy_second_upstream_first(), "strata: second: destroyed while another layer still borrows it");
}

TEST(LayerDeathTest, AnUpstreamThatDiesFirstIsReportedByName) {
  EXPECT_DEATH(destroy_upstream_first(), "strata: low: destroyed while another layer still borrows it");
}

}  // namespace
}  // namespace strata::pmr
