// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string_view>

module cache_server:store.count;

import :command;
import :item;
import :shard;
import :store;

namespace cache_server {

counted store::count(std::string_view key, bool up, std::uint64_t by, std::uint32_t now, std::uint64_t& result) {
  const std::size_t hash = hash_of(key);
  shard& s = shard_of(hash);
  item* fresh = nullptr;  // a place for a longer number, when one is needed
  for (;;) {
    item* over = nullptr;
    item* replaced = nullptr;
    counted outcome = counted::counted;
    bool needs_room = false;
    std::array<char, 24> digits;
    std::size_t length = 0;
    std::uint32_t flags = 0;
    std::uint32_t expires = 0;
    {
      const std::lock_guard held(s.lock);
      item** const at = s.find_valid(key, hash, now, over);
      item* const there = *at;
      // What a decrement made shorter is filled up with spaces.
      std::string_view text = there != nullptr ? there->value() : std::string_view();
      while (text.ends_with(' ')) text.remove_suffix(1);
      const auto number = number_of(text);
      if (there == nullptr) {
        outcome = counted::not_found;
        ++(up ? s.figures.incr_misses : s.figures.decr_misses);
      } else if (!number.has_value()) {
        outcome = counted::no_number;
      } else {
        result = up ? *number + by : *number - std::min(*number, by);
        const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), result).ptr;
        length = static_cast<std::size_t>(end - digits.data());
        flags = there->flags;
        expires = there->expires;
        item* target = there;
        if (length > there->value_bytes) {
          needs_room = fresh == nullptr || fresh->value_bytes < length;
          if (!needs_room) target = fresh;
        }
        if (!needs_room) {
          char* const value = target->wire().data();
          std::memcpy(value, digits.data(), length);
          std::memset(value + length, ' ', target->value_bytes - length);
          if (target == fresh) {
            fresh->flags = there->flags;
            fresh->expires = there->expires;
            std::memcpy(value + target->value_bytes, "\r\n", 2);
            replaced = s.take(at);
            s.put(fresh, s.find(fresh->key(), hash));
            fresh = nullptr;
          } else {
            s.use(target);
          }
          target->unique = next_unique_.fetch_add(1, std::memory_order_relaxed);
          ++(up ? s.figures.incr_hits : s.figures.decr_hits);
        }
      }
    }
    drop(over);
    drop(replaced);
    if (!needs_room) {
      drop(fresh);
      return outcome;
    }
    drop(fresh);
    fresh = make(key, flags, expires, length);
    if (fresh == nullptr) return counted::no_memory;
  }
}

}  // namespace cache_server
