// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "absl/base/thread_annotations.h"

module strata.mem:owned_blocks.impl;

import :bytes;
import :list;
import :mutex;
import :owned_blocks;
import :threads;

namespace strata::mem {

const char* describe(owned_fault fault) noexcept {
  switch (fault) {
    case owned_fault::not_live:
      return "the pointer is no live block of this cache";
    case owned_fault::other_size:
      return "a block or an array comes back with another size than it has";
    case owned_fault::none:
      break;
  }
  return nullptr;
}

template <threads Threads>
void* owned_blocks<Threads>::add(void* base, std::size_t bytes, std::size_t alignment) noexcept {
  void* const payload = static_cast<std::byte*>(base) + head(alignment);
  auto* const b = ::new (static_cast<owned_block*>(payload) - 1) owned_block{.next = nullptr,
                                                                             .prev = nullptr,
                                                                             .base = base,
                                                                             .bytes = whole(bytes, alignment),
                                                                             .payload = bytes,
                                                                             .alignment = whole_alignment(alignment),
                                                                             .seal = 0};
  b->seal = seal_of(b);
  const mem::lock held(lock_);
  link_front(live_, b);
  bytes_ += b->bytes;
  return payload;
}

// Looked at outside the lock: nobody else has the block, if it is live.
template <threads Threads>
owned_fault owned_blocks<Threads>::remove(void* payload, std::size_t bytes, owned_block*& gone) noexcept {
  if (!is_aligned(payload, alignof(owned_block))) return owned_fault::not_live;
  owned_block* const b = static_cast<owned_block*>(payload) - 1;
  if (b->seal != seal_of(b)) return owned_fault::not_live;
  if (b->payload != bytes) return owned_fault::other_size;
  b->seal = 0;
  const mem::lock held(lock_);
  unlink(live_, b);
  bytes_ -= b->bytes;
  gone = b;
  return owned_fault::none;
}

template <threads Threads>
owned_block* owned_blocks<Threads>::clear() noexcept {
  const mem::lock held(lock_);
  bytes_ = 0;
  return std::exchange(live_, nullptr);
}

template <threads Threads>
std::size_t owned_blocks<Threads>::bytes() const noexcept {
  const mem::lock held(lock_);
  return bytes_;
}

template <threads Threads>
std::uintptr_t owned_blocks<Threads>::seal_of(const owned_block* b) const noexcept {
  return ~(address(b) ^ (address(this) << 16));
}

template class owned_blocks<threads::any>;
template class owned_blocks<threads::one>;

}  // namespace strata::mem
