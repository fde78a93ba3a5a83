// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <utility>

module cache_server:store.upkeep;

import :item;
import :shard;
import :store;

namespace cache_server {

namespace {

constexpr std::size_t kSweptAtOnce = 512;  // buckets

}  // namespace

void store::clear() noexcept {
  for (shard& s : std::span(shards_, options_.shards)) {
    item* all = nullptr;
    {
      const std::lock_guard held(s.lock);
      for (item*& bucket : std::span(s.buckets, s.size)) {
        while (bucket != nullptr) {
          item* const taken = s.take(&bucket);
          taken->next = all;
          all = taken;
        }
      }
      s.fit(tables_);
    }
    end_all(all);
  }
}

void store::flush(std::uint32_t when, std::uint32_t now) noexcept {
  flushes_.fetch_add(1, std::memory_order_relaxed);
  if (when > now) {
    flush_at_.store(when, std::memory_order_relaxed);
    return;
  }
  flush_at_.store(0, std::memory_order_relaxed);
  clear();
}

void store::tick(std::uint32_t now) noexcept {
  if (std::uint32_t due = flush_at_.load(std::memory_order_relaxed); due != 0 && due <= now) {
    if (flush_at_.compare_exchange_strong(due, 0, std::memory_order_relaxed)) clear();
  }
}

void store::sweep(std::uint32_t now) noexcept {
  shard& s = shards_[next_swept_.fetch_add(1, std::memory_order_relaxed) & (options_.shards - 1)];
  item* all = nullptr;
  {
    const std::lock_guard held(s.lock);
    for (std::size_t looked_at = 0; looked_at < std::min(kSweptAtOnce, s.size); ++looked_at) {
      for (item** at = &s.buckets[s.swept++ & (s.size - 1)]; *at != nullptr;) {
        if (!is_over(**at, now)) {
          at = &(*at)->next;
          continue;
        }
        item* const taken = s.take(at);
        taken->next = all;
        all = taken;
        ++s.figures.expired;
      }
    }
    s.fit(tables_);
  }
  end_all(all);
}

std::size_t store::evict(std::size_t bytes) noexcept {
  std::size_t given = 0;
  std::size_t empty_in_a_row = 0;
  while (given < bytes && empty_in_a_row < options_.shards) {
    shard& s = shards_[next_victim_.fetch_add(1, std::memory_order_relaxed) & (options_.shards - 1)];
    item* taken = nullptr;
    {
      const std::lock_guard held(s.lock);
      if (s.oldest != nullptr) {
        item** at = s.bucket(hash_of(s.oldest->key()));
        while (*at != s.oldest) at = &(*at)->next;
        taken = s.take(at);
        ++s.figures.evictions;
        s.fit(tables_);
      }
    }
    empty_in_a_row = taken == nullptr ? empty_in_a_row + 1 : 0;
    if (taken == nullptr) continue;
    given += taken->bytes();
    drop(taken);
  }
  return given;
}

store_figures store::figures() const noexcept {
  store_figures all;
  for (const shard& s : std::span(shards_, options_.shards)) {
    const std::lock_guard held(s.lock);
    all += s.figures;
  }
  return all;
}

}  // namespace cache_server
