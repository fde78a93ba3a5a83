// SPDX-License-Identifier: Apache-2.0
#include "tests/support/recording_resource.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <ostream>
#include <string>

#include "tests/support/heap_count.h"
#include "tests/support/sanitizer.h"

namespace strata::test {
namespace {

// Watched bytes on each side of a block. None under ASan, whose own red zones then adjoin the block and tell at once.
constexpr std::size_t kPad = under_asan ? 0 : 64;
constexpr int kPadFill = 0x5C;
constexpr int kNewFill = 0xA5;
constexpr int kOldFill = 0xDD;

/// Fills all of a block of up to 64 KiB, else its first and last 4 KiB: touching every page of large ones would only
/// cost time.
void fill(void* memory, std::size_t bytes, int value) {
  constexpr std::size_t kWhole = 64 * 1024;
  constexpr std::size_t kEnd = 4096;
  std::memset(memory, value, bytes <= kWhole ? bytes : kEnd);
  if (bytes > kWhole) std::memset(static_cast<std::byte*>(memory) + bytes - kEnd, value, kEnd);
}

/// From the start of the malloc block to ours: the pad, rounded up so that our block is aligned.
std::size_t lead(std::size_t alignment) { return kPad == 0 ? 0 : std::max(kPad, alignment); }

bool untouched(const void* pad) {
  const auto* const bytes = static_cast<const unsigned char*>(pad);
  return std::all_of(bytes, bytes + kPad, [](unsigned char b) { return b == kPadFill; });
}

}  // namespace

void PrintTo(const balance& out, std::ostream* stream) {
  *stream << out.blocks << " blocks, " << out.bytes << " bytes";
}

recording_resource::recording_resource(std::pmr::memory_resource* upstream, const recording_options& options)
    : upstream_(upstream), options_(options), found_(options.report) {}

recording_resource::~recording_resource() {
  if (live_.empty()) return;
  const uncounted own_business;
  std::string text = std::to_string(now_.blocks) + " blocks, " + std::to_string(now_.bytes) + " bytes, the first:";
  std::size_t told = 0;
  for (const auto& [address, was] : live_) {
    void* const memory = std::bit_cast<void*>(address);
    if (++told <= 3) text += " " + describe(memory, was.bytes, was.alignment);
    give_back(memory, was);
  }
  found_.report(fault::leaked, text);
}

void* recording_resource::do_allocate(std::size_t bytes, std::size_t alignment) {
  if (!admit(bytes, alignment)) throw std::bad_alloc();
  void* const memory = obtain(bytes, alignment);
  enter(memory, bytes, alignment);
  return memory;
}

/// Logs the request; false when it is above the limits.
bool recording_resource::admit(std::size_t bytes, std::size_t alignment) {
  if (!std::has_single_bit(alignment)) {
    found_.report(fault::bad_request, describe(nullptr, bytes, alignment));
    return false;
  }
  const std::lock_guard lock(mutex_);
  ++request_count_;
  largest_ = std::max(largest_, bytes);
  smallest_ = std::min(smallest_, bytes);
  const bool granted =
      bytes <= options_.max_request && alignment <= options_.max_alignment && bytes <= options_.max_live - now_.bytes;
  if (log_.size() < options_.log_limit) log_.push_back({bytes, alignment, granted});
  return granted;
}

void* recording_resource::obtain(std::size_t bytes, std::size_t alignment) {
  if (upstream_ != nullptr) return upstream_->allocate(bytes, alignment);
  auto* const start = static_cast<std::byte*>(own_allocate(lead(alignment) + bytes + kPad, alignment));
  std::byte* const memory = start + lead(alignment);
  std::memset(memory - kPad, kPadFill, kPad);
  std::memset(memory + bytes, kPadFill, kPad);
  fill(memory, bytes, kNewFill);
  return memory;
}

void recording_resource::enter(void* memory, std::size_t bytes, std::size_t alignment) {
  // Through memory: callers may assume that an allocation is neither null nor misaligned, and drop the checks.
  void* volatile as_given = memory;
  const auto address = std::bit_cast<std::uintptr_t>(static_cast<void*>(as_given));
  if (address == 0) found_.report(fault::null_block, describe(nullptr, bytes, alignment));
  if (address % alignment != 0) found_.report(fault::misaligned, describe(memory, bytes, alignment));

  const std::lock_guard lock(mutex_);
  const auto extent = [](std::size_t n) { return std::max<std::size_t>(n, 1); };  // zero bytes still are a place
  const auto next = live_.lower_bound(address);
  if (next != live_.end() && next->first - address < extent(bytes)) {
    found_.report(fault::overlap,
                  describe(memory, bytes, alignment) + " over " +
                      describe(std::bit_cast<void*>(next->first), next->second.bytes, next->second.alignment));
  } else if (next != live_.begin()) {
    const auto previous = std::prev(next);
    if (address - previous->first < extent(previous->second.bytes)) {
      found_.report(fault::overlap, describe(memory, bytes, alignment) + " over " +
                                        describe(std::bit_cast<void*>(previous->first), previous->second.bytes,
                                                 previous->second.alignment));
    }
  }
  const auto [place, fresh] = live_.insert({address, {bytes, alignment}});
  if (fresh) {
    ++now_.blocks;
  } else {
    now_.bytes -= place->second.bytes;
    place->second = {bytes, alignment};
  }
  now_.bytes += bytes;
  peak_ = std::max(peak_, now_.bytes);
  ++allocations_;
}

void recording_resource::do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) {
  block was{};
  {
    const std::lock_guard lock(mutex_);
    const auto place = live_.find(std::bit_cast<std::uintptr_t>(memory));
    if (place == live_.end()) {
      found_.report(fault::unknown_pointer, describe(memory, bytes, alignment) + " deallocated");
      return;
    }
    was = place->second;
    live_.erase(place);
    --now_.blocks;
    now_.bytes -= was.bytes;
    ++deallocations_;
  }
  const std::string pair = [&] {
    if (was.bytes == bytes && was.alignment == alignment) return std::string();
    return "deallocated as " + describe(memory, bytes, alignment) + ", allocated as " +
           describe(memory, was.bytes, was.alignment);
  }();
  if (was.bytes != bytes) found_.report(fault::wrong_size, pair);
  if (was.alignment != alignment) found_.report(fault::wrong_alignment, pair);
  give_back(memory, was);
}

void recording_resource::give_back(void* memory, block was) noexcept {
  if (upstream_ != nullptr) {
    upstream_->deallocate(memory, was.bytes, was.alignment);
    return;
  }
  auto* const start = static_cast<std::byte*>(memory);
  if (!untouched(start - kPad))
    found_.report(fault::overwritten, "before " + describe(memory, was.bytes, was.alignment));
  if (!untouched(start + was.bytes)) {
    found_.report(fault::overwritten, "behind " + describe(memory, was.bytes, was.alignment));
  }
  fill(memory, was.bytes, kOldFill);
  own_deallocate(start - lead(was.alignment));
}

balance recording_resource::live() const {
  const std::lock_guard lock(mutex_);
  return now_;
}

std::size_t recording_resource::peak_bytes() const {
  const std::lock_guard lock(mutex_);
  return peak_;
}

std::size_t recording_resource::allocations() const {
  const std::lock_guard lock(mutex_);
  return allocations_;
}

std::size_t recording_resource::deallocations() const {
  const std::lock_guard lock(mutex_);
  return deallocations_;
}

own_vector<request> recording_resource::requests() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

std::size_t recording_resource::request_count() const {
  const std::lock_guard lock(mutex_);
  return request_count_;
}

std::size_t recording_resource::largest_request() const {
  const std::lock_guard lock(mutex_);
  return largest_;
}

std::size_t recording_resource::smallest_request() const {
  const std::lock_guard lock(mutex_);
  return smallest_;
}

void recording_resource::forget_requests() {
  const std::lock_guard lock(mutex_);
  log_.clear();
  request_count_ = 0;
  largest_ = 0;
  smallest_ = std::numeric_limits<std::size_t>::max();
}

}  // namespace strata::test
