// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>

export module strata.platform:clock;

/// Time that only goes forward, for decay and sampling.
export namespace strata::platform {

/// Nanoseconds since an arbitrary moment; never goes back, does not stop while the machine sleeps where the OS can
/// tell.
[[nodiscard]] std::uint64_t monotonic_ns() noexcept;

}  // namespace strata::platform
