// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>

export module index_headers:usage;

/// What this process has used so far, as the system counts it.
export namespace index_headers {

/// Processor time of the calling thread, in nanoseconds.
[[nodiscard]] std::uint64_t thread_cpu_ns() noexcept;

/// Memory resident now, and at most since the program was started, in bytes; 0 where the system does not say.
[[nodiscard]] std::uint64_t resident_bytes() noexcept;
[[nodiscard]] std::uint64_t peak_resident_bytes() noexcept;

}  // namespace index_headers
