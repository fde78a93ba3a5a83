// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

module strata.mem:fragment_map.impl;

import :fragment_map;

import :bitmap;
import :bytes;
import :stripes;

namespace strata::mem {

const char* describe(fragment_fault fault) noexcept {
  switch (fault) {
    case fragment_fault::none:
      return "nothing is wrong";
    case fragment_fault::foreign:
      return "deallocated a block that lies in no region of this allocator";
    case fragment_fault::not_live:
      return "deallocated a block that is free already";
    case fragment_fault::interior:
      return "deallocated a pointer into a block, not its start";
    case fragment_fault::other_size:
      return "deallocated a block with another size than it was allocated with";
    case fragment_fault::other_owner:
      return "deallocated a block through another owner than it was allocated through";
  }
  return "an unknown fault";
}

fragment_map::parts fragment_map::parts_in(void* tables, std::size_t count) noexcept {
  parts in{};
  std::size_t offset = sizeof(fragment_map);
  const auto next = [&]<class T>(T*& part, std::size_t elements) {
    offset = round_up(offset, alignof(T));
    if (tables != nullptr) part = at<T>(tables, static_cast<std::ptrdiff_t>(offset));
    offset += elements * sizeof(T);
  };
  next(in.cells, bitmap<>::cells_for(count));
  next(in.descriptors, count);
  next(in.tags, count);
  in.bytes = offset;
  return in;
}

std::size_t fragment_map::table_bytes(std::size_t count) noexcept { return parts_in(nullptr, count).bytes; }

fragment_map* fragment_map::make(void* tables, void* base, const fragment_shape& shape) noexcept {
  return ::new (tables) fragment_map(parts_in(tables, shape.count), base, shape);
}

fragment_map::fragment_map(const parts& in, void* base, const fragment_shape& shape) noexcept
    : shape_(shape),
      log_(log2_floor(shape.fragment_bytes)),
      a_page_(shape.page_bytes / shape.fragment_bytes),
      base_(static_cast<std::byte*>(base)),
      bits_(in.cells, shape.count),
      descriptors_(in.descriptors),
      tags_(in.tags) {
  for (std::size_t i = 0; i < shape.count; ++i) {
    ::new (static_cast<void*>(in.descriptors + i)) descriptor(0);
    ::new (static_cast<void*>(in.tags + i)) std::atomic<fragment_tag>(0);
  }
}

std::size_t fragment_map::length_of(std::size_t n) noexcept {
  return std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(n - 1)), lengths - 1);
}

fragment_map::taken fragment_map::take(std::size_t n, std::size_t alignment, fragment_tag tag) noexcept {
  taken result;
  std::atomic<std::uint32_t>& hint = hints_.mine()[length_of(n)];
  run_rule rule{.alignment = std::max<std::size_t>(1, alignment >> log_)};
  if (n <= a_page_) {
    rule.within = a_page_;
  } else {
    rule.alignment = std::max(rule.alignment, a_page_);
  }
  for (;;) {
    std::byte* const base = this->base();
    if (base == nullptr) return result;
    rule.phase = (address(base) >> log_) & (rule.alignment - 1);
    result.claim = bits_.claim(n, rule, hint.load(std::memory_order_relaxed));
    if (result.claim.outcome != claim_outcome::taken) return result;
    if (this->base() == base) [[likely]] {
      break;
    }
    bits_.release(result.claim.first, n);  // other data came between, where the phase may be another
  }
  const std::size_t first = result.claim.first;
  hint.store(static_cast<std::uint32_t>(first), std::memory_order_relaxed);
  tags_[first].store(tag, std::memory_order_relaxed);
  for (std::size_t i = 1; i < n; ++i) {
    descriptors_[first + i].store(static_cast<std::uint32_t>(i), std::memory_order_relaxed);
  }
  descriptors_[first].store(start | static_cast<std::uint32_t>(n), std::memory_order_release);
  result.block = block_at(first, base());
  return result;
}

fragment_fault fragment_map::put(void* block, std::size_t n, fragment_tag tag) noexcept {
  const std::size_t i = index_of(block);
  if (i >= shape_.count) return fragment_fault::foreign;
  const std::size_t first = start_of(i);
  if (first == shape_.count) return fragment_fault::not_live;
  if (block != block_at(first, base())) return fragment_fault::interior;
  std::uint32_t seen = descriptors_[first].load(std::memory_order_acquire);
  if ((seen & start) == 0) return fragment_fault::not_live;
  if (tags_[first].load(std::memory_order_relaxed) != tag) return fragment_fault::other_owner;
  const std::size_t has = seen & ~start;
  if (n != 0 && n != has) return fragment_fault::other_size;
  if (!descriptors_[first].compare_exchange_strong(seen, 0, std::memory_order_acq_rel)) return fragment_fault::not_live;
  bits_.release(first, has);
  for (std::atomic<std::uint32_t>& hint : hints_.mine()) {
    if (hint.load(std::memory_order_relaxed) > first) {
      hint.store(static_cast<std::uint32_t>(first), std::memory_order_relaxed);
    }
  }
  return fragment_fault::none;
}

void fragment_map::shrink(void* block, std::size_t n) noexcept {
  const std::size_t first = index_of(block);
  const std::size_t has = descriptors_[first].load(std::memory_order_relaxed) & ~start;
  if (n == has) return;
  descriptors_[first].store(start | static_cast<std::uint32_t>(n), std::memory_order_release);
  bits_.release(first + n, has - n);
}

fragment_map::found fragment_map::find(const void* p) const noexcept {
  const std::size_t i = index_of(p);
  if (i >= shape_.count) return {};
  const std::size_t first = start_of(i);
  if (first == shape_.count) return {};
  const std::uint32_t seen = descriptors_[first].load(std::memory_order_acquire);
  if ((seen & start) == 0) return {};
  return {.start = block_at(first, base()),
          .fragments = seen & ~start,
          .tag = tags_[first].load(std::memory_order_relaxed)};
}

// The number of the fragment `p` lies in; not below `count` when it lies in none.
std::size_t fragment_map::index_of(const void* p) const noexcept {
  const std::byte* const base = this->base();
  if (base == nullptr || address(p) < address(base)) return shape_.count;
  return (address(p) - address(base)) >> log_;
}

// The first fragment of the live block that fragment `i` lies in, or `count`.
std::size_t fragment_map::start_of(std::size_t i) const noexcept {
  const std::uint32_t own = descriptors_[i].load(std::memory_order_acquire);
  if ((own & start) != 0) return i;
  if (own == 0 || own > i) return shape_.count;
  const std::uint32_t first = descriptors_[i - own].load(std::memory_order_acquire);
  return (first & start) != 0 && (first & ~start) > own ? i - own : shape_.count;
}

bool fragment_map::rest() noexcept {
  if (is_resting() || bits_.claim(shape_.count).outcome != claim_outcome::taken) return false;
  resting_.store(true, std::memory_order_relaxed);
  return true;
}

void fragment_map::wake() noexcept {
  resting_.store(false, std::memory_order_relaxed);
  bits_.release(0, shape_.count);
}

void* fragment_map::retire() noexcept {
  if (!is_resting() && !rest()) return nullptr;
  return base_.exchange(nullptr, std::memory_order_acq_rel);
}

void fragment_map::revive(void* base) noexcept {
  base_.store(static_cast<std::byte*>(base), std::memory_order_release);
  wake();
}

void fragment_map::forked() noexcept {
  bits_.forked();
  if (is_resting()) return;
  for (std::size_t i = 0; i < shape_.count;) {
    const std::uint32_t seen = descriptors_[i].load(std::memory_order_relaxed);
    if ((seen & start) != 0) {
      i += seen & ~start;
      continue;
    }
    if (bits_.is_taken(i)) bits_.release(i, 1);
    ++i;
  }
}

const char* fragment_map::check() const noexcept {
  if (is_resting() && bits_.taken() != shape_.count) return "a region that nobody is to use has free fragments";
  if (base() == nullptr) return is_resting() ? nullptr : "a region without memory is in use";
  std::size_t live = 0;
  for (std::size_t i = 0; i < shape_.count;) {
    const std::uint32_t seen = descriptors_[i].load(std::memory_order_relaxed);
    if ((seen & start) == 0) {
      if (bits_.is_taken(i) && !is_resting()) return "a fragment is taken, and lies in no block";
      ++i;
      continue;
    }
    const std::size_t n = seen & ~start;
    if (n == 0 || n > shape_.count - i) return "a block reaches beyond its region";
    for (std::size_t j = 0; j < n; ++j) {
      if (!bits_.is_taken(i + j)) return "a block's fragment is free";
      if (j != 0 && descriptors_[i + j].load(std::memory_order_relaxed) != j)
        return "a fragment does not know its block";
    }
    live += n;
    i += n;
  }
  if (is_resting()) return live == 0 ? nullptr : "a region that nobody is to use has a block";
  return live == bits_.taken() ? nullptr : "fragments taken and fragments in blocks differ in number";
}

}  // namespace strata::mem
