// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <span>

export module strata.pmr:profile_source;

/// What can be written down as a heap profile: who asked for how much, and what of it is live. A tracking_adaptor is
/// one; a layer of yours may be.
export namespace strata::pmr {

/// What came from one call stack. Of a sample: estimates, without bias.
struct profiled_place {
  std::span<const void* const> stack{};  ///< return addresses, innermost first; empty: not known
  std::size_t allocations = 0;           ///< blocks
  std::size_t allocated = 0;             ///< bytes of these
  std::size_t live_blocks = 0;           ///< of these, not deallocated
  std::size_t live = 0;                  ///< bytes of these
};

class profile_source {
 public:
  profile_source(const profile_source&) = delete;
  profile_source& operator=(const profile_source&) = delete;

  /// Whose memory it is: the label `resource`.
  [[nodiscard]] virtual const char* profiled_resource() const noexcept = 0;
  /// Which layer of it tells: the label `layer`.
  [[nodiscard]] virtual const char* profiled_layer() const noexcept = 0;
  /// Bytes from sample to sample, on average; 1: every block is there.
  [[nodiscard]] virtual std::size_t sampling_period() const noexcept = 0;
  /// Places there are: numbers 0 … places() - 1. There are never fewer.
  [[nodiscard]] virtual std::size_t places() const noexcept = 0;
  /// One of them, as it is now. Any thread, as far as the layer lets; its stack stays readable as long as this lives.
  [[nodiscard]] virtual profiled_place place(std::size_t number) const noexcept = 0;

 protected:
  profile_source() = default;
  ~profile_source() = default;
};

}  // namespace strata::pmr
