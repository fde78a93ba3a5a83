// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <new>
#include <utility>

#include "absl/base/thread_annotations.h"

module strata.mem:owned_blocks.impl;

import :bytes;
import :list;
import :mutex;
import :owned_blocks;

namespace strata::mem {

void* owned_blocks::add(void* base, std::size_t bytes, std::size_t alignment) noexcept {
  void* const payload = static_cast<std::byte*>(base) + head(alignment);
  auto* const b = ::new (static_cast<owned_block*>(payload) - 1) owned_block{.next = nullptr,
                                                                             .prev = nullptr,
                                                                             .base = base,
                                                                             .bytes = whole(bytes, alignment),
                                                                             .payload = bytes,
                                                                             .alignment = whole_alignment(alignment)};
  const lock held(lock_);
  link_front(live_, b);
  bytes_ += b->bytes;
  return payload;
}

owned_block* owned_blocks::remove(void* payload, std::size_t bytes) noexcept {
  owned_block* const b = static_cast<owned_block*>(payload) - 1;
  if (b->payload != bytes) return nullptr;
  const lock held(lock_);
  unlink(live_, b);
  bytes_ -= b->bytes;
  return b;
}

owned_block* owned_blocks::clear() noexcept {
  const lock held(lock_);
  bytes_ = 0;
  return std::exchange(live_, nullptr);
}

std::size_t owned_blocks::bytes() const noexcept {
  const lock held(lock_);
  return bytes_;
}

}  // namespace strata::mem
