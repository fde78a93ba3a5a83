// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"

module strata.mem:large_page.impl;

import :address_counts;
import :bytes;
import :large_page;
import :mutex;
import :page_run;

import strata.platform;

namespace strata::mem {

namespace {

// The whole large pages within a block.
struct inner {
  std::uintptr_t first;
  std::size_t bytes;

  [[nodiscard]] void* base() const noexcept { return reinterpret_cast<void*>(first); }
};

inner inner_of(const void* block, std::size_t bytes) noexcept {
  const std::size_t page = large_page_bytes();
  if (page == 0 || bytes < page) return {0, 0};
  const std::uintptr_t first = round_up(address(block), page);
  const std::uintptr_t end = round_down(address(block) + bytes, page);
  return {first, first < end ? end - first : 0};
}

std::size_t large_in(const inner& pages) noexcept {
  backing found;
  static_cast<void>(platform::backing_of(pages.base(), pages.bytes, found));
  return static_cast<std::size_t>(std::min<std::uint64_t>(found.large, pages.bytes));
}

}  // namespace

std::size_t large_page_bytes() noexcept {
  static const std::size_t bytes = platform::large_page_size();
  return bytes;
}

// Advice comes first, since it makes the touching that follows large; collapsing is for what that did not.
large_page_result make_large(void* block, std::size_t bytes, const large_page_steps& steps) noexcept {
  const inner pages = inner_of(block, bytes);
  large_page_result result{.asked = pages.bytes};
  if (pages.bytes == 0) return result;
  if (steps.advise) result.missing = platform::advise_large(pages.base(), pages.bytes);
  if (!steps.look && !steps.collapse) return result;
  result.no_memory = platform::prefault(pages.base(), pages.bytes);
  if (result.no_memory.failed()) return result;
  result.obtained = large_in(pages);
  if (result.obtained < pages.bytes && steps.collapse) {
    result.missing = platform::collapse(pages.base(), pages.bytes);
    result.obtained = large_in(pages);
  }
  return result;
}

std::size_t whole_large_bytes(const void* block, std::size_t bytes) noexcept { return inner_of(block, bytes).bytes; }

backing backing_of(const void* block, std::size_t bytes) noexcept {
  const inner pages = inner_of(block, bytes);
  backing found;
  if (pages.bytes != 0) static_cast<void>(platform::backing_of(pages.base(), pages.bytes, found));
  return found;
}

page_run_result map_large_run(std::size_t bytes, std::size_t page) noexcept {
  std::size_t whole = 0;
  if (!checked_round_up(std::max<std::size_t>(bytes, 1), page, whole) || whole > max_object) {
    return {.error = {"mmap", 0}};
  }
  const platform::mapping got = platform::map_large(whole, page);
  return {.run = {got.base, whole}, .error = got.error};
}

os_error block_registry::add(const void* block, std::size_t number) noexcept {
  const lock held(lock_);
  if (const os_error refused = blocks_.prepare(1); refused.failed()) return refused;
  blocks_.put(address(block), number);
  return {};
}

std::size_t block_registry::remove(const void* block) noexcept {
  const lock held(lock_);
  return blocks_.take(address(block));
}

}  // namespace strata::mem
