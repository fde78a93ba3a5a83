// SPDX-License-Identifier: Apache-2.0
// Claims: a layer knows its name and upstream; check() and collect() go down the line, source first, and end at what is
// no layer; a call through the class itself reaches the layer's own code; equality is identity; an upstream that dies
// before its borrower is reported by name.
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
  explicit plain(const char* name, std::pmr::memory_resource* upstream) noexcept : direct_layer(name, upstream) {}

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

TEST(LayerDeathTest, AnUpstreamThatDiesFirstIsReportedByName) {
  EXPECT_DEATH(destroy_upstream_first(), "strata: low: destroyed while another layer still borrows it");
}

}  // namespace
}  // namespace strata::pmr
