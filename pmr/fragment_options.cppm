// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <span>

export module strata.pmr:fragment_options;

import :exhaustion;

import strata.mem;

/// What a fragment_resource can be told, and what that means for its regions.
export namespace strata::pmr {

template <class Upstream>
class fragment_resource;

/// A fragment_resource in a stack: its options.
struct fragments {
  template <class Upstream>
  using layer_over = fragment_resource<Upstream>;

  const char* name = "fragments";                   ///< in reports and errors; outlives the layer
  std::size_t fragment_bytes = 256;                 ///< a power of two, at least 16
  std::size_t page_bytes = 8192;                    ///< a power of two of fragments, at least 128
  std::size_t region_bytes = std::size_t{2} << 20;  ///< to be handed out, of a region; whole pages; tables come on top
  std::size_t max_regions = 1;                      ///< 1: the first is all there will be; at most 64
  std::size_t reserve_bytes = 0;                   ///< of the region: for critical requests only; then max_regions is 1
  bool prefault = false;                           ///< touch every page of a region when it comes
  std::size_t decay_ms = mem::no_decay;            ///< after which a region that was not used goes back upstream; 0: at
                                                   ///< once. Giving back then reads the clock. Where no thread calls
                                                   ///< any more, only tick() sees it
  exhaustion when_exhausted = exhaustion::throws;  ///< what becomes of a request that cannot be served
  bool live_at_end_is_misuse = false;              ///< report blocks that are alive at destruction

  /// Throws std::invalid_argument when something above cannot be.
  void validate() const;
  /// The first page in memory of the caller's, and how many bytes there are from it on.
  [[nodiscard]] std::byte* align_own(std::span<std::byte> memory, std::size_t& rest) const noexcept;
};

}  // namespace strata::pmr
