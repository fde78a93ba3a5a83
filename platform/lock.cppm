// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <limits>

export module strata.platform:lock;

import :error;

/// Memory that stays in RAM, and memory that others do not get to see.
///
/// Preconditions: `base` and `bytes` are multiples of page_size() and bytes > 0; the range is mapped, private to the
/// process, and stays so. Nothing here throws, allocates or logs.
///
/// Locks do not nest: a page locked twice is locked once, and one unlock() ends it. Whoever shares pages has to count
/// (mem:lock_ledger does). A child of fork() inherits no lock; unmapping ends one.
///
/// Threads  every function may be called from any thread; two calls on overlapping ranges are the caller's to order
/// Signals  no function is for signal handlers
export namespace strata::platform {

enum class lock_time {
  now,       ///< every page is made resident first
  on_touch,  ///< each page when it appears: nothing is known of pages that were not touched
};

/// Locks every page of the range. Refused: more than this process may lock (ENOMEM; EPERM when it may lock nothing), no
/// memory (EAGAIN, ENOMEM), on_touch where the OS does not know it (ENOSYS, EINVAL). Then no page of the range is
/// locked that was not before.
[[nodiscard]] os_error lock(void* base, std::size_t bytes, lock_time when) noexcept;

/// Ends the locks of the range. May be refused when it would split a mapping and the process has too many (ENOMEM).
[[nodiscard]] os_error unlock(void* base, std::size_t bytes) noexcept;

struct lock_status {
  static constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

  std::uint64_t limit = 0;  ///< bytes this process may lock; unlimited: as many as there are
  std::uint64_t locked =
      0;  ///< bytes it has locked, as the OS counts, shared segments left out; 0 too when it does not tell
};

/// Reads them as they are now. `root` is put before every path read: a test's tree.
[[nodiscard]] lock_status locks(const char* root = "") noexcept;

/// What lets a process lock more, as part of a sentence.
[[nodiscard]] const char* lock_remedy() noexcept;

/// Who else gets to see a range.
enum class exposure {
  dumped,         ///< part of a core dump, as memory is
  not_dumped,     ///< left out
  inherited,      ///< a child of fork() has a copy, as of all memory
  zero_in_child,  ///< it finds zeros instead
  not_in_child,   ///< it has no such range
};

/// Sets one of the two things above; the other stays. Refused where the OS does not know it (EINVAL, ENOSYS), or when
/// it would split a mapping and the process has too many (ENOMEM).
[[nodiscard]] os_error expose(void* base, std::size_t bytes, exposure how) noexcept;

}  // namespace strata::platform
