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
/// here throws, allocates or logs; an error leaves the range as it was unless a function says otherwise.
///
/// Threads  every function may be called from any thread; two calls on overlapping ranges are the caller's to order
/// Fork     ranges are private: a child has a copy of them and of their contents, at the same addresses
/// Signals  no function is for signal handlers
export namespace strata::platform {

enum class access { none, read, read_write };

struct mapping {
  void* base = nullptr;  ///< null when refused
  os_error error{};
};

/// Returns the base page size in bytes, a power of two.
[[nodiscard]] std::size_t page_size() noexcept;

/// Fills `out` with the page sizes, in bytes, this machine may be asked for, smallest first (the base page is the
/// first). Returns how many there are, which may be more than fit. A size that is listed may still be refused: its pool
/// can be empty. What the OS does not tell (a container may hide it) is left out. `root` is put before every path read:
/// a test's tree.
std::size_t page_sizes(std::span<std::size_t> out, const char* root = "") noexcept;

/// Takes address space only: every access faults until commit(). Costs no memory, and none is set aside.
/// Refused: no address space or too many mappings (ENOMEM), or `bytes + alignment` is more than an address can hold
/// (ENOMEM).
[[nodiscard]] mapping reserve(std::size_t bytes, std::size_t alignment) noexcept;

/// Takes readable, writable, zero-filled memory, private to the process; pages appear when touched.
/// Refused as reserve(), and when the OS will not promise that much (ENOMEM, EAGAIN).
[[nodiscard]] mapping map(std::size_t bytes, std::size_t alignment) noexcept;

/// Makes a piece of a reservation readable and writable, zero-filled. Pages appear when touched, so success is no
/// promise that the memory is there: prefault() is. May be refused when it would split a mapping and the process has
/// too many (ENOMEM).
[[nodiscard]] os_error commit(void* base, std::size_t bytes) noexcept;

/// Undoes commit(): the memory goes back at once, the address space stays reserved and faults.
/// When refused (too many mappings, ENOMEM; locked pages, EINVAL, where the OS does not just unlock them) the piece
/// stays committed with its contents.
[[nodiscard]] os_error uncommit(void* base, std::size_t bytes) noexcept;

/// Makes a range as reserve() left it, whatever was put there since: committed, protected or guarded memory, mappings of
/// objects, several of them side by side. Memory goes back at once, locks end, an object keeps its bytes. One call, and
/// the range is one mapping with reservations on either side of it. Refused (too many mappings, ENOMEM): the range is as
/// it was; not because of what lies whole in it.
/// Pre: every page is in a reservation made here, or was mapped over one; not in what map() gave.
[[nodiscard]] os_error reserve_again(void* base, std::size_t bytes) noexcept;

/// Gives up address space and memory. May be refused when it would split a mapping and the process has too many
/// (ENOMEM): the range then stays mapped, and the caller keeps and counts it.
[[nodiscard]] os_error unmap(void* base, std::size_t bytes) noexcept;

/// Sets what may be done with the range. May be refused when it would split a mapping and the process has too many
/// (ENOMEM).
[[nodiscard]] os_error protect(void* base, std::size_t bytes, access allowed) noexcept;

/// Hands the memory back at once; the range, which must be writable, stays usable and reads as zero. Locked pages are
/// refused (EINVAL), or stay locked and are made zero, as the OS has it.
[[nodiscard]] os_error give_back(void* base, std::size_t bytes) noexcept;

/// Makes every page of a writable range resident now; contents stay. What would later be a signal (no memory behind the
/// page) is an error here (EFAULT, ENOMEM, EHWPOISON); some pages may then be resident. A container at its limit may
/// still be killed.
[[nodiscard]] os_error prefault(void* base, std::size_t bytes) noexcept;

/// Enters the pages of an object into a mapping of it, so that touching them does not fault: far cheaper than a fault for
/// each, and than prefault(). Pages that the object lacks are made. Where the OS has no call for it, nothing happens.
/// Refused as prefault().
[[nodiscard]] os_error enter(void* base, std::size_t bytes) noexcept;

/// Labels the range for tools such as /proc/self/smaps. `label` is copied (short, printable, none of []\$`); a system
/// that cannot do it answers success. A range so labelled does not merge with others, so label what is large.
os_error name(void* base, std::size_t bytes, const char* label) noexcept;

/// Returns bytes of address space this floor took and could not give back: surplus of aligned ranges that the OS
/// refused to cut off and to take back whole. Inaccessible, never memory. 0 unless the process ran into its limit of
/// mappings.
[[nodiscard]] std::size_t quarantined_bytes() noexcept;

}  // namespace strata::platform
