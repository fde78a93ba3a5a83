// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "absl/debugging/stacktrace.h"
#include "absl/debugging/symbolize.h"

module strata.pmr:call_stack.impl;

import :call_stack;
import :immortal;

import strata.mem;

namespace strata::pmr {

namespace {

constexpr std::size_t further_in = 12;  ///< most frames between `caller`'s and this

constinit std::atomic<std::uint32_t> threads{0};
constinit thread_local std::uint32_t serial = 0;

[[maybe_unused]] mem::mutex& naming() noexcept {
  static immortal made([] { return mem::mutex(mem::lock_rank::function_names, "of names of functions"); });
  return *made;
}

}  // namespace

std::size_t capture_stack(std::span<const void*> frames, const void* caller) noexcept {
  if (frames.empty() || caller == nullptr) return 0;
  std::array<void*, max_stack_depth + further_in> all;
  const std::size_t wanted = std::min(frames.size() + further_in, all.size());
  const int found = absl::GetStackTrace(all.data(), static_cast<int>(wanted), 0);
  const std::span<void* const> seen(all.data(), static_cast<std::size_t>(std::max(found, 0)));
  const auto from = std::ranges::find(seen, caller);
  if (from == seen.end()) {  // the walk has lost its way: what is certain is who called
    frames[0] = caller;
    return 1;
  }
  const std::size_t count = std::min(frames.size(), static_cast<std::size_t>(seen.end() - from));
  std::copy_n(from, count, frames.begin());
  return count;
}

std::uint32_t this_thread_serial() noexcept {
  if (serial == 0) serial = threads.fetch_add(1, std::memory_order_relaxed) + 1;
  return serial;
}

bool name_function(const void* return_address, std::span<char> name) noexcept {
  // The call itself lies before the address it returns to, which may be the next function's first.
  const void* const call = static_cast<const char*>(return_address) - 1;
  // Abseil is packaged without ThreadSanitizer, which does not see how its symbolizer hands memory from thread to thread: there one at
  // a time asks it.
  std::optional<mem::lock<mem::mutex>> held;
  if constexpr (mem::has_thread_sanitizer) held.emplace(naming());
  if (absl::Symbolize(call, name.data(), static_cast<int>(name.size()))) return true;
  name[0] = '\0';
  return false;
}

}  // namespace strata::pmr
