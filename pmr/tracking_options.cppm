// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.pmr:tracking_options;

import :text_sink;

import strata.mem;

/// What a tracking_adaptor is told, and what a scope of it tells.
export namespace strata::pmr {

template <class Upstream>
class tracking_adaptor;

/// A tracking_adaptor in a stack: its options.
struct tracking {
  template <class Upstream>
  using layer_over = tracking_adaptor<Upstream>;

  const char* name = "tracking";   ///< in reports, errors and profiles; outlives the layer
  const char* resource = nullptr;  ///< whose memory this is, in profiles; outlives it. Null: the name
  std::size_t sample_bytes = 0;    ///< mean distance from sample to sample; usual is 512 KiB. 0 or 1:
                                   ///< every block is known
  std::size_t stack_depth = 16;    ///< frames kept of who allocated, up to 32; 0: none
  std::size_t stack_bytes = std::size_t{16}
                            << 20;  ///< most memory for call stacks; what comes from one for which there
                                    ///< is no room is counted as from nowhere
  bool leaks_at_end = true;         ///< destruction writes what is live by then, if anything is …
  text_sink leaks{};                ///< … here
  std::size_t leak_stacks = 20;     ///< most call stacks written; the others are summed up
  std::uint64_t seed = 0;           ///< of what is chosen; 0: another for each layer
};

/// What came and went in a scope.
using tracking_scope = mem::scope_usage;

}  // namespace strata::pmr

namespace strata::pmr {

// Throws std::invalid_argument, in a sentence, when they cannot be.
void check_tracking(const tracking& options);

}  // namespace strata::pmr
