// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <span>

export module strata.pmr:machine;

import strata.mem;

/// What the machine offers, for those who choose layers and their options.
///
/// Any thread; not for signal handlers.
export namespace strata::pmr {

using mem::fact;
using mem::fact_unit;

/// Shows every fact about memory on this machine and for this process, group by group: installed, managed, available;
/// the limit and what sets it; locked; page sizes and pools; policies; tmpfs; ZFS's cache. Some dozens of system calls.
/// `root` is put before every path read: a test's tree.
using mem::facts;

/// Size of the large pages that large_pages{} works towards, bytes; 0: there are none.
[[nodiscard]] std::size_t large_page_bytes() noexcept;

/// Fills `out` with the page sizes the machine knows, bytes, smallest first; returns how many there are. One that is
/// listed may still have no page free.
std::size_t page_sizes(std::span<std::size_t> out) noexcept;

/// Largest of them, bytes. As a chunk size it may well be too much: 1 GiB.
[[nodiscard]] std::size_t largest_page() noexcept;

}  // namespace strata::pmr
