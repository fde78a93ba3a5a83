// SPDX-License-Identifier: Apache-2.0
#include "tests/support/ownership_table.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <iterator>
#include <string>

namespace strata::test {
namespace {

constexpr std::size_t kWhole = 1024;
constexpr std::size_t kEnd = 256;
constexpr std::size_t kPage = 4096;
constexpr std::size_t kEveryPage = 128 * 1024;
constexpr std::size_t kSample = 16;

/// splitmix64: every bit of the result depends on every bit of `x`.
std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 30U;
  x *= 0xBF58476D1CE4E5B9U;
  x ^= x >> 27U;
  x *= 0x94D049BB133111EBU;
  return x ^ (x >> 31U);
}

std::uint64_t next_tag() {
  static std::atomic<std::uint64_t> counter{0};
  return mix(counter.fetch_add(1, std::memory_order_relaxed) + 0x9E3779B97F4A7C15U);
}

/// Calls visit(offset, length) for each stretch of a block that carries the pattern; stops when it returns false.
template <class Visit>
bool every_stretch(const owned_block& block, Visit visit) {
  const std::size_t bytes = block.bytes;
  if (bytes <= kWhole) return visit(std::size_t{0}, bytes);
  if (!visit(std::size_t{0}, kEnd)) return false;
  const std::size_t one_in = bytes <= kEveryPage ? 1 : 4;
  for (std::size_t at = kPage * (1 + block.tag % one_in); at < bytes - kEnd - kSample; at += kPage * one_in) {
    if (!visit(at, kSample)) return false;
  }
  return visit(bytes - kEnd, kEnd);
}

/// Calls visit(offset, word, length ≤ 8) for each piece of the pattern from `offset` on.
template <class Visit>
bool every_word(const owned_block& block, std::size_t offset, std::size_t length, Visit visit) {
  const std::uint64_t key = block.tag ^ std::bit_cast<std::uintptr_t>(block.memory);
  for (std::size_t at = offset; at < offset + length; at += sizeof key) {
    if (!visit(at, key + at * 0x9E3779B97F4A7C15U, std::min(sizeof key, offset + length - at))) return false;
  }
  return true;
}

void write(const owned_block& block) {
  auto* const memory = static_cast<std::byte*>(block.memory);
  every_stretch(block, [&](std::size_t offset, std::size_t length) {
    return every_word(block, offset, length, [&](std::size_t at, std::uint64_t word, std::size_t n) {
      std::memcpy(memory + at, &word, n);
      return true;
    });
  });
}

/// The offset of the first piece that is not as written, or the block's size.
std::size_t first_change(const owned_block& block) {
  const auto* const memory = static_cast<const std::byte*>(block.memory);
  std::size_t changed = block.bytes;
  every_stretch(block, [&](std::size_t offset, std::size_t length) {
    return every_word(block, offset, length, [&](std::size_t at, std::uint64_t word, std::size_t n) {
      if (std::memcmp(memory + at, &word, n) == 0) return true;
      changed = at;
      return false;
    });
  });
  return changed;
}

std::string describe(const owned_block& block) {
  return strata::test::describe(block.memory, block.bytes, block.alignment);
}

}  // namespace

void* ask(std::pmr::memory_resource& resource, std::size_t bytes, std::size_t alignment) {
  void* volatile given = resource.allocate(bytes, alignment);
  return given;
}

void ownership_table::allocate(std::pmr::memory_resource& resource, std::size_t bytes, std::size_t alignment) {
  enter(ask(resource, bytes, alignment), bytes, alignment);
}

void ownership_table::deallocate(std::pmr::memory_resource& resource, std::size_t index) {
  const owned_block block = take(index);
  resource.deallocate(block.memory, block.bytes, block.alignment);
}

void ownership_table::deallocate_all(std::pmr::memory_resource& resource) {
  while (size() != 0) deallocate(resource, size() - 1);
}

void ownership_table::enter(void* memory, std::size_t bytes, std::size_t alignment) {
  const owned_block block{memory, bytes, alignment, next_tag()};
  if (insert(block)) write(block);
}

void ownership_table::enter_owned(const owned_block& block) {
  if (insert(block)) verify(block);
}

owned_block ownership_table::take(std::size_t index) {
  const owned_block block = blocks_[index];
  verify(block);
  blocks_[index] = blocks_.back();
  blocks_.pop_back();
  bytes_ -= block.bytes;
  by_address_.erase(std::bit_cast<std::uintptr_t>(block.memory));
  return block;
}

/// False when the block cannot be: it is reported, never written to, and not entered.
bool ownership_table::insert(const owned_block& block) {
  const auto address = std::bit_cast<std::uintptr_t>(block.memory);
  if (address == 0) {
    found_.report(fault::null_block, describe(block));
    return false;
  }
  if (address % block.alignment != 0) found_.report(fault::misaligned, describe(block));

  const std::size_t extent = std::max<std::size_t>(block.bytes, 1);  // zero bytes still are a place of their own
  const auto next = by_address_.lower_bound(address);
  const auto clash = [&]() -> extents::iterator {
    if (next != by_address_.end() && next->first - address < extent) return next;
    if (next != by_address_.begin() && address - std::prev(next)->first < std::prev(next)->second)
      return std::prev(next);
    return by_address_.end();
  }();
  if (clash != by_address_.end()) {
    found_.report(fault::overlap, describe(block) + " over " +
                                      strata::test::describe(std::bit_cast<void*>(clash->first), clash->second, 1));
    return false;
  }
  by_address_.emplace_hint(next, address, extent);
  blocks_.push_back(block);
  bytes_ += block.bytes;
  return true;
}

void ownership_table::verify(const owned_block& block) {
  const std::size_t at = first_change(block);
  if (at < block.bytes) {
    found_.report(fault::lost_contents, describe(block) + " from offset " + std::to_string(at));
  }
}

void ownership_table::verify() {
  for (const owned_block& block : blocks_) verify(block);
}

void ownership_table::forget() noexcept {
  blocks_.clear();
  by_address_.clear();
  bytes_ = 0;
}

}  // namespace strata::test
