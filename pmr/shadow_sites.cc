// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>

module strata.pmr:shadow_sites.impl;

import :call_stack;
import :shadow_sites;

import strata.mem;

namespace strata::pmr {

namespace {

// Never destroyed: blocks may come back, and faults happen, after every destructor.
mem::stack_table& table() noexcept {
  alignas(mem::stack_table) static constinit std::array<std::byte, sizeof(mem::stack_table)> storage{};
  static auto* const made = ::new (storage.data()) mem::stack_table({.max_bytes = std::size_t{64} << 20});
  return *made;
}

}  // namespace

// The thread goes in as the innermost address, so that both together have one number.
std::uint32_t note_site(std::size_t depth, const void* caller) noexcept {
  std::array<const void*, max_stack_depth + 1> frames;
  const auto thread = static_cast<std::uintptr_t>(this_thread_serial());
  frames[0] = reinterpret_cast<const void*>(thread);  // NOLINT: a number, never followed
  const std::size_t count = capture_stack(std::span(frames).subspan(1, depth), caller);
  return table().insert(std::span(frames).first(count + 1));
}

call_site site_of(std::uint32_t number) noexcept {
  const std::span<const void* const> frames = table().look_up(number);
  if (frames.empty()) return {};
  return {static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(frames[0])), frames.subspan(1)};
}

std::size_t sites_refused() noexcept { return table().refused(); }

}  // namespace strata::pmr
