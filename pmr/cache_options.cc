// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>

module strata.pmr:cache_options.impl;

import :cache_options;
import :option_check;

import strata.mem;

namespace strata::pmr {

template <threads Threads>
mem::slot_shape shape_of(const cache_options<Threads>& options) {
  constexpr std::size_t most = mem::slot_shape::largest_chunk;
  const option_check check("cache", options.name);
  check.within(0, most, "item_bytes", options.item_bytes);
  check.power_of_two(1, most, "alignment", options.alignment);
  check.within(0, most, "chunk_bytes", options.chunk_bytes);
  const mem::slot_shape shape =
      mem::slot_shape::of(options.item_bytes, options.alignment, options.chunk_bytes, options.min_items);
  check.require(shape.slots != 0, "min_items", options.min_items, "a chunk of 2 GiB cannot hold so many");
  return shape;
}

template mem::slot_shape shape_of(const cache_options<threads::any>&);
template mem::slot_shape shape_of(const cache_options<threads::one>&);

}  // namespace strata::pmr
