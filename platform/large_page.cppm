// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.platform:large_page;

import :error;
import :page;

/// Pages larger than the base page: taken from the OS's pools, or asked for in memory one has.
///
/// Preconditions: ranges are mapped, and in multiples of page_size(). Nothing here throws, allocates or logs.
///
/// Threads  every function may be called from any thread; two calls on overlapping ranges are the caller's to order
/// Signals  no function is for signal handlers
export namespace strata::platform {

/// Size of the pages that advise_large() and collapse() work towards, bytes; 0 where there are none. `root` is put
/// before every path read: a test's tree.
[[nodiscard]] std::size_t large_page_size(const char* root = "") noexcept;

/// Takes readable, writable, zero-filled memory in pages of `page` bytes out of a pool of such pages, set aside for this
/// mapping: touching it cannot fail. The base is aligned to `page`. To be given back whole, by unmap().
/// Pre: `page` is one of page_sizes() and not the first; `bytes` is a multiple of it.
/// Refused: not so many are in the pool (ENOMEM), no such pool (EINVAL, ENOMEM), no right to it (EPERM).
[[nodiscard]] mapping map_large(std::size_t bytes, std::size_t page) noexcept;

/// Asks for large pages when the range is touched. Only whole large pages in the range can become such. Success is no
/// promise: see backing_of(). Refused where the OS does not know it (EINVAL).
[[nodiscard]] os_error advise_large(void* base, std::size_t bytes) noexcept;

/// Makes large pages of the range now, contents kept: what is there is copied together, the rest of each made resident.
/// Refused: no large page free (ENOMEM), pages in use elsewhere (EAGAIN, EBUSY), nothing at all of a large page there,
/// or not known (EINVAL). Some pages may then be large all the same.
[[nodiscard]] os_error collapse(void* base, std::size_t bytes) noexcept;

/// What the OS says a range consists of, bytes. What was not touched is neither.
struct backing {
  std::uint64_t resident = 0;
  std::uint64_t large = 0;  ///< of those, in pages larger than the base page
};

/// Reads it. Refused when the OS does not tell (ENOENT, EACCES, EINVAL); `found` is then what is known, at least.
/// O(pages), or where the kernel is older than 6.7, O(mappings of the process).
[[nodiscard]] os_error backing_of(const void* base, std::size_t bytes, backing& found, const char* root = "") noexcept;

}  // namespace strata::platform
