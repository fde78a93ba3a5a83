// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory_resource>
#include <span>

#include "absl/functional/function_ref.h"

export module strata.pmr:debug_adaptor;

import :debug_calls;
import :debug_options;
import :finding;
import :layer;
import :misuse;
import :report;
import :watched_blocks;

import strata.mem;

/// Says what is done wrong with memory: pads round every block, a book of all blocks apart from them, seven flags.
///
///   | unallocated … | pad | block …… | pad |       sixteen bytes and more on either side; see debug_options
///
/// Role           adaptor: bytes pass through, with pads round them
/// Upstream       borrowed, never null, outlives this object
/// Owns           what is known of the blocks, in memory from the OS; blocks held back under noreuse
/// Thread safety  as upstream; flags from any thread. No lock is held while upstream, a handler or a sink is called
/// Alignment      what upstream honours
/// Size           any; zero has an address of its own
/// Complexity     O(1) plus upstream, a stack, and O(bytes) under antagonism and noreuse; O(blocks) a call under
///                paranoia and verbosity. Telling an inside pointer from a foreign one: O(blocks), of all such layers
/// Overhead       32 to 47 bytes a block, more where its alignment is above 16; in the book some 100 bytes and 16 a
///                frame of stack_depth
/// Throws         what upstream throws; allocation_error for what cannot be, when there is no memory for the book, and for
///                a request refused because of misuse; misuse_error where on_misuse::raise says so. Nothing has changed.
///                Constructed with options that cannot be: std::invalid_argument
/// Deallocate     size and alignment as allocated, else misuse; noexcept unless misuse is to be thrown
/// Equality       identity
/// Fork           as upstream; locks are free in the child
/// Exit           destruction gives back what was held, reports live blocks and leaves them with upstream
/// Signals        not for signal handlers
/// Composes       outermost, where it sees what the program does. Not below synchronized{}: a handler could not come
///                back in. Once in a stack
///
/// What it finds, each in a sentence of its own: a block written beyond its end or before its start (at deallocation,
/// reallocation and check()), or after it was deallocated (noreuse); another size, another alignment, a second
/// deallocation, a pointer inside a block, a block of another debug_adaptor, a pointer that is of no block (none of these
/// reads what it points to); damage below (paranoia); live blocks at the end. A write of the byte that a pad has there
/// anyway changes nothing, and is not found.
///
/// A wrong call is refused and changes nothing: the memory stays usable. Written pads and the like are damage: if the
/// handler returns or throws, every later call is refused and says so, until forgive().
export namespace strata::pmr {

/// A block of a debug_adaptor at one moment; valid during the visit.
struct debug_block {
  block_trace what;
  bool live;  ///< else held back
};

template <class Upstream = std::pmr::memory_resource>
class debug_adaptor final : public direct_layer<debug_adaptor<Upstream>> {
  using base = direct_layer<debug_adaptor<Upstream>>;

 public:
  using upstream_type = Upstream;
  static constexpr bool thread_safe = is_thread_safe_or_unknown<Upstream>;
  static constexpr std::size_t max_alignment = max_alignment_of<Upstream>;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = requires { requires Upstream::can_release; };
  static constexpr bool asks_program = true;
  static constexpr bool watches_blocks = true;

  static_assert(
      !requires { requires Upstream::watches_blocks; },
      "strata::pmr::debug_adaptor: what lies below is watched already; leave one of them out");

  explicit debug_adaptor(Upstream* upstream, const debug& options = {})
      : base(options.name, upstream), upstream_(upstream), calls_(options, this, upstream) {}

  ~debug_adaptor() override { calls_.end(); }

  [[nodiscard]] debug_flags flags() const noexcept { return calls_.flags(); }
  /// From now on; a call under way goes on with those it began with. What is held back stays so until trim().
  void set_flags(debug_flags flags) noexcept { calls_.set_flags(flags); }

  /// What was found so far, by whatever handler.
  [[nodiscard]] std::size_t misuses() const noexcept { return calls_.misuses(); }
  /// Whether damage was found, so that nothing is served any more.
  [[nodiscard]] bool is_damaged() const noexcept { return calls_.is_damaged(); }
  /// Serves again: for a program that has dealt with the damage. Pads and what is held back are written anew. Pre: no
  /// other call is under way.
  void forgive() noexcept { calls_.forgive(); }

  /// A block of `bytes` with what was at `p`, as far as it fits; it is another, and `p` is void. Null for `p` is no
  /// block. Throws as allocate() does: then `p` is as it was.
  [[nodiscard, gnu::noinline]] void* reallocate(void* p, std::size_t old_bytes, std::size_t bytes,
                                                std::size_t alignment = alignof(std::max_align_t)) {
    return calls_.reallocate(p, old_bytes, bytes, alignment, __builtin_return_address(0));
  }

  /// Bytes that may be used at `p`: as many as were asked for. Misuse, and 0, when no live block begins there.
  [[nodiscard]] std::size_t usable_size(const void* p) { return calls_.usable_size(p); }

  /// Whether a live block of this layer begins at `p`.
  [[nodiscard]] bool owns(const void* p) const noexcept { return calls_.blocks().owns(p); }

  /// Every block, live or held back, then what is below. Reads only, and reports nothing but what is tolerated.
  [[nodiscard]] fault check() const noexcept override {
    if (const fault found = calls_.check(); found.found()) return found;
    return base::check();
  }
  /// The live block at `p` alone; also what is wrong with `p` when there is none.
  [[nodiscard]] fault check(const void* p) const noexcept { return calls_.check(p); }

  /// Shows every block, live or held back, in no order. The visitor may use this memory; blocks that come or go
  /// meanwhile may be shown or not.
  void walk(absl::FunctionRef<void(const debug_block&)> visitor) const {
    block_copy block;
    for (std::size_t i = 0; i < calls_.blocks().extent(); ++i) {
      if (calls_.blocks().copy(i, block)) visitor({block.trace(), block.state == mem::book_state::live});
    }
  }

  /// Gives back what is held back, after a look at it. Returns the bytes given back, pads included.
  std::size_t trim() { return calls_.trim(); }

  /// Everything goes back; all blocks are void. Only where upstream can. Not if damage is found. (In a stack, whose
  /// release() is noexcept, a misuse that is thrown ends the program.)
  void release()
    requires can_release
  {
    calls_.release([](void* upstream) { static_cast<Upstream*>(upstream)->release(); }, upstream_,
                   __builtin_return_address(0));
  }

  [[nodiscard]] statistics stats() const noexcept override { return calls_.blocks().figures(); }

  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept override {
    const mem::os_error unknown = calls_.blocks().unknown_to_fork();
    if (!unknown.failed()) return 0;
    if (!out.empty()) {
      out[0] = {
          "the lock of the book is not known to fork(): a child forked while another thread allocates may hang; "
          "do not fork",
          unknown, 1};
    }
    return 1;
  }

 private:
  friend base;

  // Not inlined, so that the stack of a block begins with who asked for it.
  [[nodiscard, gnu::noinline]] void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    return calls_.allocate(bytes, alignment, __builtin_return_address(0));
  }
  [[gnu::noinline]] void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    calls_.deallocate(p, bytes, alignment, __builtin_return_address(0));
  }

  Upstream* const upstream_;
  debug_calls calls_;
};

template <class Upstream>
debug_adaptor(Upstream*) -> debug_adaptor<Upstream>;
template <class Upstream>
debug_adaptor(Upstream*, debug) -> debug_adaptor<Upstream>;

static_assert(layered<debug_adaptor<>>);

}  // namespace strata::pmr
