// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <span>

export module strata.platform:page;

import :error;

/// Whole pages of address space and memory.
///
/// Preconditions of everything below, stated once: `base` and `bytes` are multiples of page_size() and bytes > 0; the
/// range lies in one mapping made here; `alignment` is a power of two, at least page_size(), at most 1 GiB. Nothing
/// here throws, allocates or logs; an error leaves the range as it was unless a function says otherwise. Every function
/// may be called from any thread.
export namespace strata::platform {

enum class access { none, read, read_write };

struct mapping {
  void* base = nullptr;  ///< null when refused
  os_error error{};
};

/// Returns the base page size in bytes, a power of two.
[[nodiscard]] std::size_t page_size() noexcept;

/// Fills `out` with the page sizes, in bytes, this machine may be asked for, smallest first (the base page is the
/// first). Returns how many there are, which may be more than fit.
std::size_t page_sizes(std::span<std::size_t> out) noexcept;

/// Takes address space only: every access faults until commit(). Costs no memory.
[[nodiscard]] mapping reserve(std::size_t bytes, std::size_t alignment) noexcept;

/// Takes readable, writable, zero-filled memory, private to the process; pages appear when touched.
[[nodiscard]] mapping map(std::size_t bytes, std::size_t alignment) noexcept;

/// Makes a piece of a reservation readable and writable, zero-filled.
[[nodiscard]] os_error commit(void* base, std::size_t bytes) noexcept;

/// Undoes commit(): the memory goes back at once, the address space stays reserved and faults.
[[nodiscard]] os_error uncommit(void* base, std::size_t bytes) noexcept;

/// Gives up address space and memory. May be refused when it would split a mapping and the process has too many
/// (ENOMEM): the range then stays mapped, and the caller keeps and counts it.
[[nodiscard]] os_error unmap(void* base, std::size_t bytes) noexcept;

[[nodiscard]] os_error protect(void* base, std::size_t bytes, access allowed) noexcept;

/// Hands the memory back at once; the range stays usable and reads as zero.
[[nodiscard]] os_error give_back(void* base, std::size_t bytes) noexcept;

/// Makes every page of a writable range resident now. What would later be a signal (no memory behind the page) is an
/// error here.
[[nodiscard]] os_error prefault(void* base, std::size_t bytes) noexcept;

/// Labels the range for tools such as /proc/self/smaps. `label` is copied; a system that cannot do it answers success.
os_error name(void* base, std::size_t bytes, const char* label) noexcept;

}  // namespace strata::platform
