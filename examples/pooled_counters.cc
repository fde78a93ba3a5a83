// SPDX-License-Identifier: Apache-2.0
// std::allocate_shared takes object and reference counts as one block; here each block is an item of a cache.
#include <cstddef>
#include <cstdio>
#include <memory>
#include <memory_resource>
#include <vector>

import strata.pmr;
namespace sp = strata::pmr;

namespace {

struct order {
  int number;
  double price;
};

using orders = std::vector<std::shared_ptr<order>>;

orders make(sp::named_cache<>& cache) {
  const std::pmr::polymorphic_allocator<order> from(&cache);
  orders made;
  for (int i = 0; i < 1000; ++i) made.push_back(std::allocate_shared<order>(from, i, 9.99));
  return made;
}

// How many owners the orders have, and how many items are out.
void print(const char* when, const orders& book, const sp::named_cache<>& cache) {
  std::size_t owners = 0;
  for (const std::shared_ptr<order>& o : book) owners += static_cast<std::size_t>(o.use_count());
  std::printf("%-8s %6zu %6zu\n", when, owners, cache.stats().live_blocks);
}

}  // namespace

int main() {
  // An item has room for an order, two counts and what the standard library puts beside them.
  sp::named_cache cache(std::pmr::new_delete_resource(), {.name = "orders", .item_bytes = 64});
  std::printf("%-8s %6s %6s\n", "", "owners", "items");

  orders book = make(cache);
  print("made", book, cache);
  orders copies = book;
  print("copied", book, cache);
  copies.clear();
  book.clear();
  print("dropped", book, cache);
  book = make(cache);
  print("again", book, cache);

  const sp::statistics figures = cache.stats();
  std::printf("chunks   %6zu\n", figures.upstream / cache.chunk_bytes());
}
