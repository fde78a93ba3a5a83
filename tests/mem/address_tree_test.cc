// SPDX-License-Identifier: Apache-2.0
// Claims: the tree finds what an ordered set finds, at every step of random insertions and removals; it stays flat whatever
// the order in which nodes come and go (W2-11, D2-10, by counting nodes); an empty tree finds nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <set>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

struct node {
  node* lower = nullptr;
  node* upper = nullptr;
  std::byte payload[48]{};
};

// In order, and every node ranks above those below it.
void collect(const node* n, std::vector<const node*>& into) {
  if (n == nullptr) return;
  collect(n->lower, into);
  into.push_back(n);
  collect(n->upper, into);
  for (const node* below : {n->lower, n->upper}) {
    if (below != nullptr) ASSERT_GT(address_rank(n), address_rank(below));
  }
}

TEST(AddressTree, AnEmptyTreeFindsNothing) {
  const node n;
  node* root = nullptr;
  EXPECT_EQ(tree_at_or_below(root, &n), nullptr);
  EXPECT_EQ(tree_above(root, &n), nullptr);
}

TEST(AddressTree, AgreesWithAnOrderedSet) {
  std::vector<node> nodes(300);
  std::set<const node*> model;
  node* root = nullptr;
  std::mt19937_64 random(5);
  for (int step = 0; step < 20'000; ++step) {
    node& n = nodes[random() % nodes.size()];
    if (model.erase(&n) != 0) {
      tree_erase(root, &n);
    } else {
      tree_insert(root, &n);
      model.insert(&n);
    }
    const std::byte* const p = reinterpret_cast<const std::byte*>(nodes.data()) + random() % (300 * sizeof(node));
    const auto above = model.upper_bound(reinterpret_cast<const node*>(p));
    ASSERT_EQ(tree_above(root, p), above == model.end() ? nullptr : *above);
    ASSERT_EQ(tree_at_or_below(root, p), above == model.begin() ? nullptr : *std::prev(above));
    if (step % 100 != 0) continue;
    std::vector<const node*> all;
    collect(root, all);
    ASSERT_TRUE(std::ranges::equal(all, model));
  }
}

// Expected 2 ln n on the way to a random node; the longest way is below 6 ln n but for one chance in billions.
TEST(AddressTree, StaysFlatInEveryOrder) {
  constexpr std::size_t count = 1 << 14;
  std::vector<node> nodes(count);
  std::vector<std::size_t> up(count);
  std::iota(up.begin(), up.end(), std::size_t{0});
  std::vector<std::size_t> inwards(count);
  for (std::size_t i = 0; i < count; ++i) inwards[i] = i % 2 == 0 ? i / 2 : count - 1 - i / 2;
  const auto bound = static_cast<std::size_t>(6 * std::log(double{count}));

  const auto longest_way = [&](node* root) {
    std::size_t longest = 0;
    for (node& n : nodes) {
      std::size_t visited = 0;
      EXPECT_NE(tree_at_or_below(root, &n, &visited), nullptr);
      longest = std::max(longest, visited);
    }
    return longest;
  };
  for (const std::vector<std::size_t>& order : {up, std::vector<std::size_t>(up.rbegin(), up.rend()), inwards}) {
    node* root = nullptr;
    for (const std::size_t i : order) tree_insert(root, &nodes[i]);
    EXPECT_LE(longest_way(root), bound);
    // The upper half goes and comes again.
    for (std::size_t i = count / 2; i < count; ++i) tree_erase(root, &nodes[i]);
    for (std::size_t i = count / 2; i < count; ++i) tree_insert(root, &nodes[i]);
    EXPECT_LE(longest_way(root), bound);
    for (const std::size_t i : order) tree_erase(root, &nodes[i]);
    EXPECT_EQ(root, nullptr);
  }
}

}  // namespace
}  // namespace strata::mem
