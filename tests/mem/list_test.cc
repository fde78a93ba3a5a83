// SPDX-License-Identifier: Apache-2.0
// Claims: elements come out in the order last in, first out; any element can be taken out, head, middle and tail, and
// the rest stays linked.
#include <gtest/gtest.h>

#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

struct element {
  element* next = nullptr;
  element* prev = nullptr;
};

struct List : testing::Test {
  element a, b, c;
  element* head = nullptr;

  void SetUp() override {
    for (element* e : {&c, &b, &a}) link_front(head, e);
  }
  [[nodiscard]] std::vector<element*> forwards() const {
    std::vector<element*> all;
    const element* before = nullptr;
    for (element* e = head; e != nullptr; before = e, e = e->next) {
      EXPECT_EQ(e->prev, before);
      all.push_back(e);
    }
    return all;
  }
};

TEST_F(List, PutsTheNewestFirst) { EXPECT_EQ(forwards(), (std::vector{&a, &b, &c})); }

TEST_F(List, TakesOutHeadMiddleAndTail) {
  unlink(head, &b);
  EXPECT_EQ(forwards(), (std::vector{&a, &c}));
  unlink(head, &c);
  EXPECT_EQ(forwards(), (std::vector{&a}));
  unlink(head, &a);
  EXPECT_EQ(head, nullptr);
}

}  // namespace
}  // namespace strata::mem
