// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

module strata.mem:chunk_table.impl;

import :bytes;
import :chunk_table;

namespace strata::mem {

chunk_table::chunk_table(std::size_t chunk_bytes) noexcept : chunk_bytes_(chunk_bytes) {
  auto* const t = ::new (first_) table;
  t->format(first_capacity, nullptr);
  table_.store(t, std::memory_order_relaxed);
}

void chunk_table::table::format(std::uint32_t slots, table* before) noexcept {
  older = before;
  capacity = slots;
  bits = log2_floor(slots) + 1;
  std::uninitialized_value_construct_n(chunks(), slots);
  std::uninitialized_value_construct_n(entries(), 2 * slots);
}

// The chunk first: whoever finds the number finds the chunk.
void chunk_table::table::enter(std::uint32_t number, std::byte* chunk) noexcept {
  chunks()[number].store(chunk, std::memory_order_relaxed);
  std::uint32_t at = home(address(chunk));
  while (entries()[at].load(std::memory_order_relaxed) != 0) at = (at + 1) & mask();
  entries()[at].store(number + 1, std::memory_order_release);
}

std::size_t chunk_table::wanted() const noexcept {
  const std::uint32_t capacity = table_.load(std::memory_order_relaxed)->capacity;
  return count() < capacity ? 0 : bytes_for(std::size_t{2} * capacity);
}

void chunk_table::grow(void* memory, std::size_t bytes) noexcept {
  table* const old = table_.load(std::memory_order_relaxed);
  auto* const t = ::new (memory) table;
  t->format(2 * old->capacity, old);
  for (std::uint32_t n = 0; n < count(); ++n) t->enter(n, old->chunks()[n].load(std::memory_order_relaxed));
  table_.store(t, std::memory_order_release);
  bytes_.fetch_add(bytes, std::memory_order_relaxed);
}

std::uint32_t chunk_table::add(void* chunk) noexcept {
  const std::uint32_t number = count_.load(std::memory_order_relaxed);
  table_.load(std::memory_order_relaxed)->enter(number, static_cast<std::byte*>(chunk));
  count_.store(number + 1, std::memory_order_release);
  return number;
}

chunk_table::brought chunk_table::remove_table() noexcept {
  table* const t = table_.load(std::memory_order_relaxed);
  if (t->older == nullptr) return {nullptr, 0};
  const brought gone{t, bytes_for(t->capacity)};
  table_.store(t->older, std::memory_order_relaxed);
  bytes_.fetch_sub(gone.bytes, std::memory_order_relaxed);
  return gone;
}

}  // namespace strata::mem
