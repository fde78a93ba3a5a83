// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

export module strata.pmr:shadow_sites;

import :call_stack;

import strata.mem;

/// Who allocated and who deallocated shadowed blocks, by number: a thread and a stack in four bytes.
///
/// One table for the process, which outlives every layer: what is known of a block is asked about after its memory ended,
/// by a signal handler. Up to 64 MiB; beyond that new places have number 0, of which nothing is known. Any thread;
/// site_of() also in signal handlers. Nothing throws.
namespace strata::pmr {

/// The number of the calling thread at `caller`, with so many frames.
[[nodiscard]] std::uint32_t note_site(std::size_t depth, const void* caller) noexcept;

/// Thread 0 when nothing is known.
[[nodiscard]] call_site site_of(std::uint32_t number) noexcept;

/// Places for which there was no room.
[[nodiscard]] std::size_t sites_refused() noexcept;

}  // namespace strata::pmr
