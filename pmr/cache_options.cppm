// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.pmr:cache_options;

import strata.mem;

/// What a cache of items can be told.
export namespace strata::pmr {

using mem::threads;

template <class Upstream, threads Threads>
class named_cache;

/// A named_cache in a stack: its options.
template <threads Threads>
struct cache_options {
  template <class Upstream>
  using layer_over = named_cache<Upstream, Threads>;

  const char* name = "cache";                         ///< in reports and errors; outlives the layer
  std::size_t item_bytes = 64;                        ///< bytes of an item
  std::size_t alignment = alignof(std::max_align_t);  ///< of every item, at least; a power of two
  std::size_t chunk_bytes = std::size_t{64} << 10;    ///< asked of upstream at a time, at least, and so aligned; it is
                                                      ///< rounded to a power of two, up to 2 GiB
  std::uint32_t min_items = 8;                        ///< items in a chunk, at least
  std::size_t decay_ms =
      mem::no_decay;  ///< after which a chunk that was not used goes back upstream; 0: at once. Where no
                      ///< thread calls any more, only tick() sees it
  bool live_at_end_is_misuse = false;  ///< report items and blocks that are alive at destruction
};

/// For any thread.
using cache = cache_options<threads::any>;

/// For one thread at a time. Upstream need not be thread safe either.
using unsynchronized_cache = cache_options<threads::one>;

}  // namespace strata::pmr

namespace strata::pmr {

// Chunks of such items. Throws std::invalid_argument, in a sentence, when none can hold them.
template <threads Threads>
[[nodiscard]] mem::slot_shape shape_of(const cache_options<Threads>& options);

extern template mem::slot_shape shape_of(const cache_options<threads::any>&);
extern template mem::slot_shape shape_of(const cache_options<threads::one>&);

}  // namespace strata::pmr
