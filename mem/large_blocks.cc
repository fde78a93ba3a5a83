// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/base/thread_annotations.h"

module strata.mem:large_blocks.impl;

import :bytes;
import :decay;
import :large_blocks;
import :list;
import :mutex;
import :threads;

namespace strata::mem {

template <threads Threads>
void* large_blocks<Threads>::reuse(std::size_t bytes, std::size_t alignment) noexcept {
  const lock held(lock_);
  for (large_block* b = kept_; b != nullptr; b = b->next) {
    if (b->bytes != bytes || b->alignment != alignment) continue;
    if (b == oldest_) oldest_ = b->prev;
    unlink(kept_, b);
    --count_;
    bytes_.kept -= bytes;
    low_ = std::min(low_, bytes_.kept);
    link_front(live_, b);
    bytes_.live += bytes;
    return b->base;
  }
  return nullptr;
}

template <threads Threads>
void large_blocks<Threads>::add(void* base, std::size_t bytes, std::size_t alignment) noexcept {
  large_block* const b = record_of(base, bytes);
  b->base = base;
  b->bytes = bytes;
  b->alignment = alignment;
  const lock held(lock_);
  link_front(live_, b);
  bytes_.live += bytes;
}

template <threads Threads>
void large_blocks<Threads>::keep(void* base, std::size_t bytes) noexcept {
  large_block* const b = record_of(base, bytes);
  const lock held(lock_);
  unlink(live_, b);
  bytes_.live -= bytes;
  link_front(kept_, b);
  if (oldest_ == nullptr) oldest_ = b;
  ++count_;
  bytes_.kept += bytes;
}

template <threads Threads>
large_block* large_blocks<Threads>::evict(std::size_t limit) noexcept {
  const lock held(lock_);
  if (oldest_ == nullptr || (bytes_.kept <= limit && count_ <= places)) return nullptr;
  return evict_oldest();
}

template <threads Threads>
large_block* large_blocks<Threads>::evict_unused(std::size_t& bytes) noexcept {
  const lock held(lock_);
  if (oldest_ == nullptr || oldest_->bytes > bytes) return nullptr;
  bytes -= oldest_->bytes;
  return evict_oldest();
}

template <threads Threads>
large_block* large_blocks<Threads>::evict_oldest() noexcept {
  large_block* const b = oldest_;
  oldest_ = b->prev;
  unlink(kept_, b);
  --count_;
  bytes_.kept -= b->bytes;
  low_ = std::min(low_, bytes_.kept);
  decay_.gave(b->bytes);
  return b;
}

template <threads Threads>
std::size_t large_blocks<Threads>::look(std::uint64_t now) noexcept {
  const lock held(lock_);
  return decay_.look(now, std::exchange(low_, bytes_.kept), bytes_.kept);
}

template <threads Threads>
large_block* large_blocks<Threads>::clear() noexcept {
  const lock held(lock_);
  large_block* all = kept_;
  while (large_block* const b = live_) {
    unlink(live_, b);
    link_front(all, b);
  }
  kept_ = oldest_ = nullptr;
  count_ = low_ = 0;
  bytes_ = {};
  return all;
}

template <threads Threads>
typename large_blocks<Threads>::figures large_blocks<Threads>::count() const noexcept {
  const lock held(lock_);
  return bytes_;
}

template class large_blocks<threads::one>;
template class large_blocks<threads::any>;

}  // namespace strata::mem
