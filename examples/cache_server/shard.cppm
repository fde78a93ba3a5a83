// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <mutex>
#include <string_view>

export module cache_server:shard;

import :item;

/// A part of the store: buckets, items in the order of their use, figures, all under one lock.
export namespace cache_server {

/// What was done so far, and what is there.
struct store_figures {
  std::uint64_t items = 0;
  std::uint64_t bytes = 0;  ///< of items, heads included
  std::uint64_t total_items = 0;
  std::uint64_t evictions = 0;
  std::uint64_t expired = 0;
  std::uint64_t get_hits = 0, get_misses = 0;
  std::uint64_t delete_hits = 0, delete_misses = 0;
  std::uint64_t touch_hits = 0, touch_misses = 0;
  std::uint64_t cas_hits = 0, cas_misses = 0, cas_badval = 0;
  std::uint64_t incr_hits = 0, incr_misses = 0, decr_hits = 0, decr_misses = 0;
  std::uint64_t sets = 0;  ///< items offered

  store_figures& operator+=(const store_figures& other) noexcept;
};

[[nodiscard]] std::size_t hash_of(std::string_view key) noexcept;

[[nodiscard]] inline bool is_over(const item& i, std::uint32_t now) noexcept {
  return i.expires != 0 && i.expires <= now;
}

// Everything under its lock. What leaves a shard is ended by who took it out, when the lock is free again.
struct alignas(64) shard {
  static constexpr std::size_t first_buckets = 64;

  mutable std::mutex lock;
  item** buckets = nullptr;
  std::size_t size = 0;  ///< of buckets; a power of two
  item* newest = nullptr;
  item* oldest = nullptr;
  std::size_t swept = 0;    ///< bucket to be looked at next
  item* nothing = nullptr;  ///< what find_valid() points at when there is none
  store_figures figures;

  [[nodiscard]] item** bucket(std::size_t hash) noexcept { return &buckets[(hash >> 8U) & (size - 1)]; }

  /// The link to the item, or the end of its bucket.
  [[nodiscard]] item** find(std::string_view key, std::size_t hash) noexcept {
    item** at = bucket(hash);
    while (*at != nullptr && (*at)->key() != key) at = &(*at)->next;
    return at;
  }

  void to_front(item* i) noexcept {
    i->newer = nullptr;
    i->older = newest;
    if (newest != nullptr) newest->newer = i;
    newest = i;
    if (oldest == nullptr) oldest = i;
  }
  void leave_order(item* i) noexcept {
    (i->newer != nullptr ? i->newer->older : newest) = i->older;
    (i->older != nullptr ? i->older->newer : oldest) = i->newer;
  }
  void use(item* i) noexcept {
    if (i == newest) return;
    leave_order(i);
    to_front(i);
  }

  void put(item* i, item** at) noexcept {
    i->next = *at;
    *at = i;
    to_front(i);
    ++figures.items;
    figures.bytes += i->bytes();
    ++figures.total_items;
  }
  [[nodiscard]] item* take(item** at) noexcept {
    item* const i = *at;
    *at = i->next;
    leave_order(i);
    --figures.items;
    figures.bytes -= i->bytes();
    return i;
  }

  /// The link to an item that is not over; one that is comes out into `over`.
  [[nodiscard]] item** find_valid(std::string_view key, std::size_t hash, std::uint32_t now, item*& over) noexcept {
    item** const at = find(key, hash);
    if (*at == nullptr || !is_over(**at, now)) return at;
    over = take(at);
    ++figures.expired;
    nothing = nullptr;
    return &nothing;
  }

  /// Another number of buckets, if there is memory for them: else chains get longer, no more.
  void resize(std::size_t wanted, std::pmr::memory_resource* tables) noexcept;

  void fit(std::pmr::memory_resource* tables) noexcept {
    if (figures.items > size) resize(2 * size, tables);
    if (figures.items == 0 && size > first_buckets) resize(first_buckets, tables);
  }
};

}  // namespace cache_server
