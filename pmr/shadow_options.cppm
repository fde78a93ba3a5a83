// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>

export module strata.pmr:shadow_options;

import strata.mem;

/// What a shadow_resource is told when it is made.
export namespace strata::pmr {

template <class Upstream>
class shadow_resource;

/// When the pages of a block that was deallocated begin to fault.
enum class shadow_guards : bool {
  at_once,  ///< before deallocate() returns: one system call each
  batched,  ///< together with others: until then a dangling pointer still reads and writes, though nobody else's memory
};

/// What becomes of a request for which a budget is used up, or the OS refuses what it takes.
enum class shadow_shortage : bool {
  unguarded,  ///< upstream serves it, as long as that lasts
  sampled,    ///< the same, and from then on half as many blocks are shadowed, each time it happens
};

/// When virtual pages serve other blocks, after which a dangling pointer into them is found no more.
enum class shadow_reuse {
  at_destruction,  ///< of the resource: the next one may begin at once with the same addresses. Until then none is used
                   ///< twice, so max_address_bytes is all there ever is
  quarantine,  ///< once they were dead for hold_ms, or more than hold_bytes died after them; also when it is destroyed
  never,
};

/// A shadow_resource in a stack: its options.
struct shadow {
  template <class Upstream>
  using layer_over = shadow_resource<Upstream>;

  const char* name = "shadow";  ///< in reports and errors; outlives the layer
  std::size_t one_in = 1;       ///< of so many blocks one is shadowed, at random; upstream serves the others
  shadow_guards guards = shadow_guards::at_once;
  std::size_t batch_blocks = 256;                         ///< batched: most that wait, …
  std::size_t batch_bytes = std::size_t{1} << 20;         ///< … bytes of them, …
  std::size_t batch_ms = 100;                             ///< … and how long, looked at with every 32nd call
  shadow_reuse reuse = shadow_reuse::quarantine;          ///< of virtual pages
  std::size_t hold_bytes = std::size_t{4} << 30;          ///< of address space in quarantine; 0: as hold_ms says
  std::size_t hold_ms = 0;                                ///< 0: as hold_bytes says
  std::size_t max_mappings = 0;                           ///< 0: a quarter of what a process may have
  std::size_t max_address_bytes = std::size_t{64} << 30;  ///< of address space
  std::size_t max_bytes = 0;                              ///< of memory; 0: as much as there is
  std::size_t decay_ms = mem::no_decay;  ///< after which memory and zones that nothing uses go back; 0: at
                                         ///< once. Where no thread calls any more, only tick() sees it
  shadow_shortage when_short = shadow_shortage::unguarded;
  std::size_t stack_depth = 8;  ///< frames kept of who allocated and who deallocated, up to 32; 0: only the thread
  bool copy_at_fork = true;     ///< a child gets a copy; else its blocks fault there
  bool strict = false;          ///< what the OS cannot do is an exception when this is made; else a degraded state
  bool live_at_end_is_misuse = false;  ///< report blocks that are alive at destruction
};

}  // namespace strata::pmr

namespace strata::pmr {

// Throws std::invalid_argument, in a sentence, when they cannot be.
void check_shadow(const shadow& options);

[[nodiscard]] mem::shadow_plan plan_of(const shadow& options) noexcept;

}  // namespace strata::pmr
