// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>

#include "absl/base/thread_annotations.h"

module strata.mem:stack_table.impl;

import :bytes;
import :mutex;
import :page_run;
import :stack_table;

namespace strata::mem {

namespace {

constexpr std::size_t word_bytes = 8;
constexpr std::size_t bytes_per_head = 128;  // about two stacks of eight addresses have a head to themselves

/// 32 bits, all of which depend on every address. The low ones choose a head, the high ones are in the tag.
[[nodiscard]] std::uint32_t hash(stack_table::stack addresses) noexcept {
  std::uint64_t h = addresses.size();
  for (const void* const each : addresses) {
    h = (h ^ std::uint64_t{address(each)}) * 0x9E37'79B9'7F4A'7C15U;
    h ^= h >> 32;  // the product's best bits, where the next step spreads them
  }
  return static_cast<std::uint32_t>(h);
}

constexpr std::uint32_t depth_mask = 0xFF;
static_assert(stack_table::max_depth == depth_mask);

[[nodiscard]] std::uint32_t tag_of(std::uint32_t hashed, std::size_t depth) noexcept {
  return (hashed & ~depth_mask) | static_cast<std::uint32_t>(depth);
}

template <class Record>
[[nodiscard]] stack_table::stack addresses_of(const Record* of) noexcept {
  return {at<const void*>(of, sizeof(Record)), of->tag & depth_mask};
}

}  // namespace

stack_table::stack_table(const stack_table_options& options) noexcept
    : max_bytes_(options.max_bytes),
      head_count_(max_bytes_ < 2 * page_bytes() ? 0
                                                : std::clamp(std::bit_floor(max_bytes_ / bytes_per_head),
                                                             page_bytes() / sizeof(head), max_heads)) {}

// Should the OS not take them back, they are no more than the table was allowed.
stack_table::~stack_table() ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (const page_run& each : runs_) {
    if (each.base != nullptr) static_cast<void>(unmap_run(each));
  }
}

std::uint32_t stack_table::insert(stack addresses) noexcept {
  addresses = addresses.first(std::min(addresses.size(), max_depth));
  if (addresses.empty()) return none;
  const std::uint32_t hashed = hash(addresses);
  const std::uint32_t tag = tag_of(hashed, addresses.size());
  const std::size_t home = hashed & (head_count_ - 1);
  head* heads = heads_.load(std::memory_order_acquire);
  std::uint32_t first = none;
  if (heads != nullptr) [[likely]] {
    first = heads[home].load(std::memory_order_acquire);
    if (const std::uint32_t known = find(first, tag, addresses); known != none) [[likely]] {
      return known;
    }
  }

  const lock held(lock_);
  if (heads == nullptr) heads = make_heads();
  if (heads == nullptr) return refuse();
  const std::uint32_t then = heads[home].load(std::memory_order_relaxed);
  if (then != first) {  // others were first
    if (const std::uint32_t known = find(then, tag, addresses); known != none) return known;
  }
  const std::size_t words = sizeof(record) / word_bytes + addresses.size();
  const std::uint32_t number = make_room(words);
  if (number == none) return refuse();
  auto* const fresh = ::new (at(number)) record{.next = then, .tag = tag};
  std::uninitialized_copy_n(addresses.data(), addresses.size(), mem::at<const void*>(fresh, sizeof(record)));
  // The end first: a number that is seen anywhere may be looked up.
  end_.store(number + static_cast<std::uint32_t>(words), std::memory_order_release);
  heads[home].store(number, std::memory_order_release);
  size_.store(size_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return number;
}

// A number may come from memory that was overwritten, and a fault is being reported: hence a record that does not
// match its own tag is none.
stack_table::stack stack_table::look_up(std::uint32_t number) const noexcept {
  const std::uint32_t end = end_.load(std::memory_order_acquire);
  if (number == none || number >= end) return {};
  const record* const found = at(number);
  if (found == nullptr) return {};
  const std::size_t depth = found->tag & depth_mask;
  const std::size_t left_in_chunk = first_number(chunk_of(number) + 1) - number;
  if (depth == 0 || depth >= std::min<std::size_t>(end - number, left_in_chunk)) return {};
  const stack addresses = addresses_of(found);
  return tag_of(hash(addresses), depth) == found->tag ? addresses : stack{};
}

const char* stack_table::check() const noexcept {
  const lock held(lock_);
  const head* const heads = heads_.load(std::memory_order_relaxed);
  std::size_t found = 0;
  for (std::size_t i = 0; heads != nullptr && i < head_count_; ++i) {
    std::uint32_t before = 0xFFFF'FFFF;
    for (std::uint32_t n = heads[i].load(std::memory_order_relaxed); n != none; n = at(n)->next) {
      // Older stacks have lower numbers, so a list that is sound ends.
      if (n >= before) return "a stack is followed by one that came later";
      before = n;
      const stack addresses = look_up(n);
      if (addresses.empty()) return "a stack does not match its tag";
      if ((hash(addresses) & (head_count_ - 1)) != i) return "a stack is in another's list";
      ++found;
    }
  }
  return found == size() ? nullptr : "stacks are more or fewer than were counted";
}

// Null when the number's chunk was not made, or not yet for this thread.
stack_table::record* stack_table::at(std::uint32_t number) const noexcept {
  static_assert(first_number(max_chunks) <= std::numeric_limits<std::uint32_t>::max());
  const std::size_t i = chunk_of(number);
  word* const chunk = chunks_[i].load(std::memory_order_acquire);
  return chunk == nullptr ? nullptr : mem::at<record>(chunk + (number - first_number(i)), 0);
}

std::uint32_t stack_table::find(std::uint32_t first, std::uint32_t tag, stack addresses) const noexcept {
  for (std::uint32_t n = first; n != none;) {
    const record* const each = at(n);
    if (each->tag == tag && std::ranges::equal(addresses_of(each), addresses)) return n;
    n = each->next;
  }
  return none;
}

std::uint32_t stack_table::refuse() noexcept {
  refused_.fetch_add(1, std::memory_order_relaxed);
  return none;
}

stack_table::head* stack_table::make_heads() noexcept {
  if (head* const made = heads_.load(std::memory_order_relaxed); made != nullptr) return made;
  if (head_count_ == 0) return nullptr;
  const page_run_result fresh = map_run(head_count_ * sizeof(head), page_bytes(), {.label = "strata: stacks"});
  if (fresh.error.failed()) return nullptr;
  runs_.back() = fresh.run;
  bytes_.store(bytes() + fresh.run.bytes, std::memory_order_relaxed);
  // Zeros, as the OS brings them, are empty lists; pages appear as their heads are used.
  auto* const heads = static_cast<head*>(fresh.run.base);
  heads_.store(heads, std::memory_order_release);
  return heads;
}

// The number of a record of so many words, which lie in one chunk, or none. A chunk that is made here gets that record,
// so the end is always in the last one.
std::uint32_t stack_table::make_room(std::size_t words) noexcept {
  const std::size_t end = end_.load(std::memory_order_relaxed);
  if (chunks_made_ != 0) {
    const std::size_t last = chunks_made_ - 1;
    if (end + words <= first_number(last) + runs_[last].bytes / word_bytes) return static_cast<std::uint32_t>(end);
  }
  if (chunks_made_ == max_chunks) return none;
  const std::size_t next = chunks_made_;
  const std::size_t nominal = (first_chunk_words * word_bytes) << next;
  const std::size_t bytes_left = round_down(max_bytes_ - std::min(bytes(), max_bytes_), page_bytes());
  const std::size_t wanted = std::min(nominal, bytes_left);
  // A chunk that was cut short is the last; what is left of a budget after it is less than a page.
  if (wanted < page_bytes()) return none;
  const page_run_result fresh = map_run(wanted, page_bytes(), {.label = "strata: stacks"});
  if (fresh.error.failed()) return none;
  runs_[next] = fresh.run;
  ++chunks_made_;
  bytes_.store(bytes() + fresh.run.bytes, std::memory_order_relaxed);
  chunks_[next].store(static_cast<word*>(fresh.run.base), std::memory_order_release);
  return static_cast<std::uint32_t>(std::max<std::size_t>(first_number(next), 1));
}

}  // namespace strata::mem
