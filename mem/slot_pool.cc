// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

module strata.mem:slot_pool.impl;

import :bytes;
import :chunk_table;
import :lifo;
import :slot_pool;

namespace strata::mem {

namespace {

constexpr std::size_t kLargestChunk = std::size_t{1} << 31;

// Bytes of a chunk of so many slots. Slots, sizes and alignments are bounded: nothing wraps.
std::size_t first_of(std::size_t slots, std::size_t alignment) noexcept {
  return round_up(sizeof(std::uint32_t) + slots * sizeof(lifo<>::link), alignment);
}

}  // namespace

slot_shape slot_shape::of(std::size_t bytes, std::size_t alignment, std::size_t chunk_bytes,
                          std::uint32_t least) noexcept {
  // What no chunk can hold gets a shape without slots, of which nothing is ever made.
  slot_shape shape{.slot_bytes = 1, .chunk_bytes = 1};
  least = std::max(least, 1U);
  if (bytes > kLargestChunk || alignment > kLargestChunk || chunk_bytes > kLargestChunk) return shape;
  const std::size_t slot = round_up(std::max<std::size_t>(bytes, 1), alignment);
  if (least > kLargestChunk / slot) return shape;
  const std::size_t chunk = std::bit_ceil(std::max(chunk_bytes, first_of(least, alignment) + least * slot));
  if (chunk > kLargestChunk) return shape;
  std::size_t slots = (chunk - sizeof(std::uint32_t)) / (slot + sizeof(lifo<>::link));
  while (first_of(slots, alignment) + slots * slot > chunk) --slots;
  shape = {.slot_bytes = slot,
           .chunk_bytes = chunk,
           .first = first_of(slots, alignment),
           .slots = static_cast<std::uint32_t>(slots),
           .number_bits = static_cast<std::uint32_t>(std::bit_width(slots - 1))};
  return shape;
}

const char* describe(slot_fault fault) noexcept {
  switch (fault) {
    case slot_fault::foreign:
      return "the pointer is no slot of this pool";
    case slot_fault::not_a_slot:
      return "the pointer is in a chunk of this pool, but not the start of a slot";
    case slot_fault::already_free:
      return "the slot is free already";
    case slot_fault::none:
      break;
  }
  return nullptr;
}

slot_fault slot_pool::inspect(const void* p) const noexcept {
  std::uint32_t n = 0;
  if (const slot_fault fault = locate(p, n); fault != slot_fault::none) return fault;
  return links()(n).load(std::memory_order_relaxed) == lifo<>::taken ? slot_fault::none : slot_fault::already_free;
}

bool slot_pool::may_add() const noexcept {
  const std::uint64_t numbers = (std::uint64_t{chunks_.count()} + 1) << shape_.number_bits;
  return shape_.slots != 0 && numbers <= lifo<>::limit;
}

// Slots come out in rising order, as a chunk's neighbours are used together.
void* slot_pool::add(void* memory, bool take_one) noexcept {
  auto* const chunk = static_cast<std::byte*>(memory);
  const std::uint32_t number = chunks_.count();
  ::new (chunk) std::uint32_t(number);
  const std::uint32_t base = number << shape_.number_bits;
  for (std::uint32_t i = 0; i < shape_.slots; ++i) ::new (&link(chunk, i)) lifo<>::link(base + i + 1);
  const std::uint32_t first = take_one ? 1 : 0;
  if (take_one) link(chunk, 0).store(lifo<>::taken, std::memory_order_relaxed);
  chunks_.add(chunk);
  if (first < shape_.slots) free_.push_chain(links(), base + first, base + shape_.slots - 1);
  if (!take_one) return nullptr;
  count_taken();
  return chunk + shape_.first;
}

void* slot_pool::remove_chunk() noexcept {
  if (removed_ == chunks_.count()) return nullptr;
  return chunks_.chunk(removed_++);
}

const char* slot_pool::check() const noexcept {
  const std::uint32_t count = chunks_.count();
  for (std::uint32_t c = 0; c < count; ++c) {
    std::byte* const chunk = chunks_.chunk(c);
    if (*at<std::uint32_t>(chunk, 0) != c || chunks_.find(chunk) != c) return "a chunk's number is not its own";
    for (std::uint32_t i = 0; i < shape_.slots; ++i) {
      const std::uint32_t next = link(chunk, i).load(std::memory_order_relaxed);
      if (next >= lifo<>::limit) continue;
      // A chunk added since the count was taken may be linked to.
      if (next >> shape_.number_bits >= chunks_.count() || (next & slot_mask()) >= shape_.slots) {
        return "a free slot's link leads nowhere";
      }
    }
  }
  return nullptr;
}

slot_pool::figures slot_pool::count() const noexcept {
  const std::size_t back = put_.load(std::memory_order_relaxed);
  const std::size_t taken = std::max(taken_.load(std::memory_order_relaxed), back);
  return {.slots = std::size_t{chunks_.count()} * shape_.slots,
          .out = taken - back,
          .peak = peak_.load(std::memory_order_relaxed),
          .taken = taken};
}

}  // namespace strata::mem
