// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>

export module strata.mem:discard;

/// Memory behind bytes that nobody uses, handed back to the OS while the addresses stay.
///
/// For a keeper that cannot give a whole piece back upstream, as something in it is live. What memory cannot be taken
/// from (locked, of large pages, shared) is left as it is. Any thread; nothing throws, allocates or locks; one system
/// call.
export namespace strata::mem {

/// Hands back the whole pages within the range, whose contents are void then. Returns their bytes; 0 when there is none,
/// or the OS refuses.
std::size_t discard(void* start, std::size_t bytes) noexcept;

}  // namespace strata::mem
