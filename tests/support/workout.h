// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <memory_resource>
#include <new>
#include <string>
#include <unordered_map>
#include <utility>

#include "tests/support/cut_off.h"

/// What programs ask of a memory, done by one thread, for a memory that several work out at a time.
///
/// Everything it needs itself is on its stack, a few KiB; what goes wrong ends the process (demand()). So it serves in
/// a child that is cut off.
namespace strata::test {

/// Bytes in hand, with a pattern that tells them from others.
class held_block {
 public:
  held_block() = default;
  held_block(void* p, std::size_t bytes, std::size_t alignment) noexcept
      : p_(static_cast<std::byte*>(p)), bytes_(bytes), alignment_(alignment) {
    demand(p != nullptr, "a block is not null");
    demand(reinterpret_cast<std::uintptr_t>(p) % alignment == 0, "a block is aligned as asked for");
    fill();
  }

  [[nodiscard]] bool empty() const noexcept { return p_ == nullptr; }
  [[nodiscard]] std::byte* data() const noexcept { return p_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t alignment() const noexcept { return alignment_; }

  void fill() noexcept {
    if (bytes_ != 0) std::memset(p_, static_cast<int>(pattern()), bytes_);
  }

  /// That the first `bytes` are as fill() left them.
  void demand_intact(std::size_t bytes) const noexcept {
    for (std::size_t i = 0; i < bytes; i += i < 64 ? 1 : 61) demand(p_[i] == pattern(), "a block keeps what is in it");
  }
  void demand_intact() const noexcept {
    demand_intact(bytes_);
    if (bytes_ != 0) demand(p_[bytes_ - 1] == pattern(), "a block keeps its last byte");
  }

  /// The same contents elsewhere, or more of it.
  void moved_to(void* p, std::size_t bytes) noexcept {
    const std::byte old = pattern();
    const std::size_t same = std::min(bytes, bytes_);
    for (std::size_t i = 0; i < same; ++i) demand(static_cast<std::byte*>(p)[i] == old, "contents move along");
    *this = held_block(p, bytes, alignment_);
  }

 private:
  [[nodiscard]] std::byte pattern() const noexcept {
    return static_cast<std::byte>((reinterpret_cast<std::uintptr_t>(p_) >> 4) * 37 + bytes_);
  }

  std::byte* p_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t alignment_ = 1;
};

/// Numbers as random as need be, without a table.
class small_random {
 public:
  explicit small_random(std::uint64_t seed) noexcept : state_(seed * 2654435769U + 88172645463325252U) {}
  std::size_t below(std::size_t end) noexcept {
    state_ ^= state_ << 13U;
    state_ ^= state_ >> 7U;
    state_ ^= state_ << 17U;
    return static_cast<std::size_t>(state_ >> 11U) % end;
  }

 private:
  std::uint64_t state_;
};

/// Every power of two up to `largest`, one less and one more, at every alignment up to `largest_alignment`, a few at a
/// time.
template <class Memory>
void ask_every_size_and_alignment(Memory& memory, std::size_t largest, std::size_t largest_alignment) {
  std::array<held_block, 4> held;
  std::size_t next = 0;
  const auto give_back = [&](held_block& b) {
    if (b.empty()) return;
    b.demand_intact();
    memory.deallocate(b.data(), b.bytes(), b.alignment());
    b = {};
  };
  for (std::size_t alignment = 1; alignment <= largest_alignment; alignment *= 2) {
    for (std::size_t power = 1; power <= largest; power *= 2) {
      for (const std::size_t bytes : {power - 1, power, power + 1}) {
        held_block& b = held[next++ % held.size()];
        give_back(b);
        b = held_block(memory.allocate(bytes, alignment), bytes, alignment);
      }
    }
  }
  for (held_block& b : held) give_back(b);
}

/// Blocks of up to `largest` bytes come and go at random.
template <class Memory>
void come_and_go(Memory& memory, std::uint64_t seed, std::size_t largest, int steps) {
  small_random random(seed);
  std::array<held_block, 64> held;
  for (int i = 0; i < steps; ++i) {
    held_block& b = held[random.below(held.size())];
    if (b.empty()) {
      const std::size_t bytes = random.below(random.below(8) == 0 ? largest : 300);
      const std::size_t alignment = std::size_t{1} << random.below(random.below(8) == 0 ? 13 : 5);
      b = held_block(memory.allocate(bytes, alignment), bytes, alignment);
    } else {
      b.demand_intact();
      memory.deallocate(b.data(), b.bytes(), b.alignment());
      b = {};
    }
  }
  for (held_block& b : held) {
    if (!b.empty()) memory.deallocate(b.data(), b.bytes(), b.alignment());
  }
}

/// The same as malloc, realloc and free would have it.
template <class Pool>
void come_and_go_without_sizes(Pool& pool, std::uint64_t seed, std::size_t largest, int steps) {
  small_random random(seed);
  std::array<held_block, 32> held;
  for (int i = 0; i < steps; ++i) {
    held_block& b = held[random.below(held.size())];
    const std::size_t bytes = random.below(random.below(8) == 0 ? largest : 300);
    if (b.empty()) {
      b = held_block(pool.allocate(bytes), bytes, alignof(std::max_align_t));
    } else if (random.below(2) == 0) {
      b.demand_intact();
      demand(pool.usable_size(b.data()) >= b.bytes(), "a block may be used as far as it was asked for");
      b.moved_to(pool.reallocate(b.data(), bytes), bytes);
    } else {
      b.demand_intact();
      pool.deallocate(b.data());
      b = {};
    }
  }
  for (const held_block& b : held) pool.deallocate(b.data());
}

/// Nodes, buckets, blocks of a deque, strings in strings.
inline void fill_containers(std::pmr::memory_resource& memory, int elements) {
  const std::pmr::string text("long enough for a block of its own, and a word or two more", &memory);
  std::pmr::map<int, std::pmr::string> tree(&memory);
  std::pmr::unordered_map<int, std::pmr::string> table(&memory);
  std::pmr::deque<std::pmr::string> queue(&memory);
  for (int i = 0; i < elements; ++i) {
    tree.emplace(i, text);
    table.emplace(i, text);
    queue.push_back(text);
  }
  for (int i = 0; i < elements; i += 2) {
    tree.erase(i);
    table.erase(i);
    queue.pop_front();
  }
  for (const auto& [number, what] : tree) demand(number % 2 == 1 && what == text, "a map has its elements");
  for (const auto& [number, what] : table) demand(number % 2 == 1 && what == text, "a table has its elements");
  for (const auto& what : queue) demand(what == text, "a queue has its elements");
  demand(tree.size() + table.size() + queue.size() >= 3 * (static_cast<std::size_t>(elements) / 2), "nothing is lost");
}

/// Items, and arrays of every length up to `items`, which are all out at a time.
template <class Cache>
void use_cache(Cache& cache, std::size_t items) {
  // The items themselves say which is next, so that any number can be held.
  void* held = nullptr;
  for (std::size_t i = 0; i < items; ++i) {
    void* const item = cache.request();
    std::memcpy(item, &held, sizeof held);
    held = item;
  }
  while (held != nullptr) {
    void* const item = held;
    std::memcpy(&held, item, sizeof held);
    cache.recycle(item);
  }
  for (std::size_t n = 1; n <= items; ++n) {
    void* const array = cache.alloc_array(n);
    std::memset(array, static_cast<int>(n), (n - 1) * cache.item_stride() + cache.item_bytes());
    cache.free_array(array, n);
  }
}

/// Takes blocks, ever smaller ones, until there is not one of 16 bytes; gives all of them back. Each refusal is
/// counted with `here`. Returns the bytes it got.
template <class Memory>
std::size_t take_everything(Memory& memory, std::size_t largest, cut_off& here) {
  constexpr std::size_t endless = std::size_t{256} << 20U;  // no pool of a test is as large
  struct link {
    link* next;
    std::size_t bytes;
  };
  link* held = nullptr;
  std::size_t total = 0;
  for (std::size_t bytes = largest; bytes >= sizeof(link); bytes /= 2) {
    try {
      for (;;) {
        held = ::new (memory.allocate(bytes)) link{held, bytes};
        std::memset(held + 1, 0x5a, bytes - sizeof(link));
        total += bytes;
        demand(total < endless, "there is no end to this memory: it is not cut off");
      }
    } catch (const std::bad_alloc&) {
      here.caught();
    }
  }
  while (held != nullptr) {
    const link b = *held;
    memory.deallocate(held, b.bytes);
    held = b.next;
  }
  return total;
}

}  // namespace strata::test
