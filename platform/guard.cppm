// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.platform:guard;

import :error;

/// Pages made to fault without touching the mapping they lie in.
///
/// protect() does this too, but splits mappings, of which a process may have only so many. A guard is a mark on a page:
/// it costs no mapping, so it can always be set; it stands until unguard() or until something else is mapped there,
/// whatever advice the range is given; protect() does not lift it. A load, store or fetch there is SIGSEGV, at that very
/// address; a system call that is handed such an address answers EFAULT.
///
/// Preconditions: `base` and `bytes` are multiples of page_size() and bytes > 0; every page of the range is mapped, here
/// or in `segment`; not explicit large pages. Nothing here throws, allocates or logs. Interrupted calls are repeated.
///
/// Contents  private memory loses what the page held, at once, and reads as zero when the guard is gone; an object keeps
///           its bytes, which other mappings of it go on to show
/// Threads   every function may be called from any thread; two calls on overlapping ranges are the caller's to order
/// Fork      a child has the same guards
/// Signals   no function is for signal handlers
export namespace strata::platform {

enum class guard_support : std::uint8_t {
  none,             ///< guard() answers EINVAL or ENOTSUP for any range
  private_memory,   ///< guard() is for what map(), commit() and their like gave
  objects_as_well,  ///< and for mappings of shared objects
};

/// What this system can do, found out on pages of its own, which may be locked: so an EINVAL of guard() on a system that
/// can do it means that the range is locked. `none` too when no page could be had. A handful of system calls and the
/// same answer every time: ask once, and keep it.
[[nodiscard]] guard_support guards_supported() noexcept;

/// Makes every page of the range fault. Guarding a guarded page changes nothing. Refused: unknown to this system, or
/// locked pages (EINVAL; ENOTSUP where no system of this kind knows it), no memory for page tables or part of the range
/// not mapped (ENOMEM). A range that was refused may be guarded in part; unguard() undoes that.
[[nodiscard]] os_error guard(void* base, std::size_t bytes) noexcept;

/// Makes guarded pages of the range as they were, but for contents that are gone; other pages of it stay as they are.
/// Refused as guard().
[[nodiscard]] os_error unguard(void* base, std::size_t bytes) noexcept;

}  // namespace strata::platform
