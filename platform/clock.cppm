// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>

export module strata.platform:clock;

/// Time that only goes forward, for decay and sampling.
///
/// Threads  any
/// Signals  may be called in handlers
export namespace strata::platform {

/// Returns nanoseconds since an arbitrary moment; never goes back. Time the machine sleeps may not count. Always 0 on a
/// system that has no such clock or does not let the process read it.
[[nodiscard]] std::uint64_t monotonic_ns() noexcept;

}  // namespace strata::platform
