// SPDX-License-Identifier: Apache-2.0
// std::allocate_shared takes object and reference counts as one block; here each block is an item of a cache. Is it
// faster than std::make_shared?
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <memory_resource>
#include <thread>
#include <vector>

import strata.pmr;
namespace sp = strata::pmr;

namespace {

struct order {
  int number;
  double price;
};

using orders = std::vector<std::shared_ptr<order>>;

constexpr int count = 1000;

orders make_pooled(sp::named_cache<>& cache) {
  const std::pmr::polymorphic_allocator<order> from(&cache);
  orders made;
  for (int i = 0; i < count; ++i) made.push_back(std::allocate_shared<order>(from, i, 9.99));
  return made;
}

// How many owners the orders have, and how many items are out.
void print(const char* when, const orders& book, const sp::named_cache<>& cache) {
  std::size_t owners = 0;
  for (const std::shared_ptr<order>& o : book) owners += static_cast<std::size_t>(o.use_count());
  std::printf("%-8s %6zu %6zu\n", when, owners, cache.stats().live_blocks);
}

// A short-lived order each time: what reference counts cost beside what they count.
template <class Make>
double nanoseconds(const Make& make) {
  constexpr int times = 20'000;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < times; ++i) {
    const std::shared_ptr<order> o = make(i);
    if (o->number != i) std::abort();
  }
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count() / times;
}

template <std::size_t N>
double median(std::array<double, N>& figures) {
  std::sort(figures.begin(), figures.end());
  return figures[N / 2];
}

// In turns, so that whatever else the machine does meets both.
void compare(sp::named_cache<>& cache) {
  const std::pmr::polymorphic_allocator<order> from(&cache);
  std::thread([] {}).join();  // from now on the counts are atomic, as in any program with threads
  std::array<double, 51> made;
  std::array<double, 51> pooled;
  std::array<double, 51> ratios;
  for (std::size_t round = 0; round < ratios.size(); ++round) {
    made[round] = nanoseconds([](int i) { return std::make_shared<order>(order{i, 9.99}); });
    pooled[round] = nanoseconds([&](int i) { return std::allocate_shared<order>(from, i, 9.99); });
    ratios[round] = pooled[round] / made[round];
  }
  std::printf("ns       %6.1f pooled, %.1f make_shared\n", median(pooled), median(made));
  std::printf("ratio    %6.2f\n", median(ratios));
}

}  // namespace

int main() {
  // An item has room for an order, two counts and what the standard library puts beside them.
  sp::named_cache cache(std::pmr::new_delete_resource(), {.name = "orders", .item_bytes = 64});
  std::printf("%-8s %6s %6s\n", "", "owners", "items");

  orders book = make_pooled(cache);
  print("made", book, cache);
  orders copies = book;
  print("copied", book, cache);
  copies.clear();
  book.clear();
  print("dropped", book, cache);
  book = make_pooled(cache);
  print("again", book, cache);
  std::printf("chunks   %6zu\n", cache.chunks());

  compare(cache);
}
