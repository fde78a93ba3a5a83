// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory_resource>
#include <new>
#include <string_view>
#include <utility>

module cache_server:shard.impl;

import :item;
import :shard;

namespace cache_server {

std::size_t hash_of(std::string_view key) noexcept { return std::hash<std::string_view>{}(key); }

store_figures& store_figures::operator+=(const store_figures& other) noexcept {
  items += other.items;
  bytes += other.bytes;
  total_items += other.total_items;
  evictions += other.evictions;
  expired += other.expired;
  get_hits += other.get_hits;
  get_misses += other.get_misses;
  delete_hits += other.delete_hits;
  delete_misses += other.delete_misses;
  touch_hits += other.touch_hits;
  touch_misses += other.touch_misses;
  cas_hits += other.cas_hits;
  cas_misses += other.cas_misses;
  cas_badval += other.cas_badval;
  incr_hits += other.incr_hits;
  incr_misses += other.incr_misses;
  decr_hits += other.decr_hits;
  decr_misses += other.decr_misses;
  sets += other.sets;
  return *this;
}

void shard::resize(std::size_t wanted, std::pmr::memory_resource* tables) noexcept {
  item** fresh = nullptr;
  try {
    fresh = static_cast<item**>(tables->allocate(wanted * sizeof(item*), alignof(item*)));
  } catch (const std::bad_alloc&) {
    return;  // chains get longer, no more
  }
  std::fill_n(fresh, wanted, nullptr);
  std::swap(buckets, fresh);
  const std::size_t before = std::exchange(size, wanted);
  for (std::size_t b = 0; b < before; ++b) {
    for (item* i = fresh[b]; i != nullptr;) {
      item** const at = bucket(hash_of(i->key()));
      item* const next = std::exchange(i->next, *at);
      *at = i;
      i = next;
    }
  }
  if (fresh != nullptr) tables->deallocate(fresh, before * sizeof(item*), alignof(item*));
}

}  // namespace cache_server
