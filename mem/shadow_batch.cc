// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>

module strata.mem:shadow_batch.impl;

import :bytes;
import :page_run;
import :shadow_batch;

import strata.platform;

namespace strata::mem {

namespace {

constexpr std::uint32_t kBetweenClocks = 32;  // calls

}  // namespace

os_error shadow_batch::open() noexcept {
  if (!is_on()) return {};
  std::size_t bytes = 0;
  if (!checked_multiply(most_.blocks, sizeof(std::uint32_t), bytes)) return {"mmap", ENOMEM};
  const page_run_result memory = map_run(bytes, page_bytes(), {});
  if (memory.run.base == nullptr) return memory.error;
  memory_ = memory.run;
  pages_ = at<std::uint32_t>(memory_.base, 0);
  return {};
}

shadow_batch::~shadow_batch() {
  if (memory_.base != nullptr) static_cast<void>(unmap_run(memory_));
}

void shadow_batch::add(std::uint32_t page, std::size_t bytes) noexcept {
  if (blocks_ == 0) since_ = platform::monotonic_ns();
  pages_[blocks_++] = page;
  bytes_ += bytes;
}

bool shadow_batch::is_old() noexcept {
  if (blocks_ == 0 || ++calls_ < kBetweenClocks) return false;
  calls_ = 0;
  return is_old(platform::monotonic_ns());
}

bool shadow_batch::is_old(std::uint64_t now) const noexcept {
  return blocks_ != 0 && now >= since_ && now - since_ >= most_.nanoseconds;
}

std::span<const std::uint32_t> shadow_batch::sorted() noexcept {
  std::sort(pages_, pages_ + blocks_);
  return {pages_, blocks_};
}

void shadow_batch::clear() noexcept {
  blocks_ = 0;
  bytes_ = 0;
}

}  // namespace strata::mem
