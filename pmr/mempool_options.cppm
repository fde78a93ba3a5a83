// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>

export module strata.pmr:mempool_options;

import :exhaustion;
import :fragment_options;

import strata.mem;

/// What a mempool_resource can be told, and what that means for its fragments.
export namespace strata::pmr {

template <class Upstream>
class mempool_resource;

/// A mempool_resource in a stack: its options.
struct mempool {
  template <class Upstream>
  using layer_over = mempool_resource<Upstream>;

  const char* name = "mempool";                      ///< in reports and errors; outlives the layer
  std::size_t segment_bytes = std::size_t{2} << 20;  ///< for all blocks and the heaps; tables come on top. Whole pages
  std::size_t fragment_bytes = 256;                  ///< a power of two, at least 16
  std::size_t page_bytes = 8192;                     ///< of fragments and of the small heap; a power of two
  std::size_t heap_largest = 256;                  ///< bytes; most that the small heap serves; at most a sixteenth of a
                                                   ///< page; 0: nothing
  std::size_t heaps = 4;                           ///< that threads share; a power of two, at most 16
  std::size_t reserve_bytes = 0;                   ///< for critical() alone
  exhaustion when_exhausted = exhaustion::throws;  ///< what becomes of a request that cannot be served
  std::size_t decay_ms =
      mem::no_decay;                   ///< after which a page of the small heap or a chunk of a cache that was not used
                                       ///< goes back to the fragments; 0: at once
  bool trims_on_shrink = false;        ///< reallocate() gives back what is over, rather than keep it for growing again
  bool live_at_end_is_misuse = false;  ///< report blocks that are alive at destruction

  /// The fragments of such a pool. Throws std::invalid_argument when something above cannot be.
  [[nodiscard]] fragments valid_fragments() const;
};

}  // namespace strata::pmr
