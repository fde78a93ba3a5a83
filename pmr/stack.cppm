// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <type_traits>

export module strata.pmr:stack;

import :layer;
import :report;

import strata.mem;

/// Layers on top of one another, as one memory_resource that owns them.
///
///   stack memory{pages{}, heap{}, synchronized{}};      // source first
///
/// Role           assembly: hands every request to its top layer
/// Upstream       none; its source's
/// Owns           its layers, in place: building it allocates nothing
/// Thread safety  as its top layer
/// Alignment      as its top layer
/// Size           as its top layer
/// Complexity     one virtual call to enter; none between its layers
/// Overhead       0 bytes a block
/// Throws         what its top layer throws
/// Deallocate     as its top layer
/// Equality       identity
/// Fork           as its layers
/// Exit           as its layers; destroyed top first
/// Signals        not for signal handlers
/// Composes       above borrowed{} over another resource; as upstream of any layer
///
/// An entry is the options of a layer. Orders that defeat themselves do not compile.
namespace strata::pmr {

template <class Entry>
concept source_entry = requires { typename Entry::layer_type; } && source<typename Entry::layer_type>;

template <class Entry>
concept layered_entry =
    !source_entry<Entry> && requires { typename Entry::template layer_over<std::pmr::memory_resource>; };

template <class Layer>
concept locking = requires { requires Layer::is_lock; };

template <class Layer>
concept decaying = requires(Layer& layer, std::uint64_t now) { layer.tick(now); };

template <class Layer>
concept keeping_in_ram = requires { requires Layer::locks_memory; };

template <class Layer>
concept guarding = requires { requires Layer::guards_pages; };

template <class Layer>
concept shadowing = requires { requires Layer::shadows_blocks; };

// What is known of everything below.
struct ground {
  bool locked = false;    ///< something is a lock
  bool asking = false;    ///< something may call the program
  bool in_ram = false;    ///< memory is locked
  bool shadowed = false;  ///< blocks may be a shadow's
};

template <class Layer>
inline constexpr ground ground_over(ground below) {
  return {.locked = below.locked || locking<Layer>,
          .asking = below.asking || asking<Layer>,
          .in_ram = below.in_ram || keeping_in_ram<Layer>,
          .shadowed = below.shadowed || shadowing<Layer>};
}

// What stands on `Below`, lowest first.
template <ground Ground, class Below, class... Entries>
class tower {
 public:
  static constexpr ground whole = Ground;

  inline explicit tower(Below* below) noexcept : below_(below) {}

  [[nodiscard]] inline Below& top() noexcept { return *below_; }
  [[nodiscard]] inline const Below& top() const noexcept { return *below_; }

 private:
  Below* below_;
};

template <ground Ground, class Below, class Entry, class... Entries>
class tower<Ground, Below, Entry, Entries...> {
  static_assert(
      !source_entry<Entry>,
      "strata::pmr::stack: only the first entry may be a source; a source above another layer would never ask it");
  static_assert(source_entry<Entry> || layered_entry<Entry>,
                "strata::pmr::stack: an entry must be the options of a layer, such as heap{} or synchronized{}");

 public:
  using layer_type = typename Entry::template layer_over<Below>;

  static_assert(layered<layer_type>, "strata::pmr::stack: layer_over must name a layer that states its facts");
  static_assert(!(locking<layer_type> && Below::thread_safe),
                "strata::pmr::stack: what lies below this lock is thread safe already; leave the lock out");
  static_assert(
      !(locking<layer_type> && Ground.asking),
      "strata::pmr::stack: a layer below this lock, such as relieved_limit{} or debug{}, may call the program, "
      "which could not come back in; put it above the lock");
  static_assert(!(Ground.locked && !layer_type::thread_safe),
                "strata::pmr::stack: a layer that is not thread safe stands above the lock, which then guards nothing; "
                "move the lock "
                "above it");

  static_assert(
      !(Ground.in_ram && guarding<layer_type>),
      "strata::pmr::stack: memory that is locked below cannot be guarded, and a shadow would not be locked; leave "
      "locked{} out, or what guards");
  static_assert(!(Ground.shadowed && shadowing<layer_type>),
                "strata::pmr::stack: a shadow below would be taken for somebody else's blocks; leave one of them out");

  // Throws what a layer throws that is made here or above.
  inline tower(Below* below, const Entry& entry, const Entries&... entries)
      : here_(below, entry), above_(&here_, entries...) {}

  [[nodiscard]] inline auto& top() noexcept { return above_.top(); }
  [[nodiscard]] inline const auto& top() const noexcept { return above_.top(); }

  template <std::size_t Index>
  [[nodiscard]] inline auto& get() noexcept {
    if constexpr (Index == 0) {
      return here_;
    } else {
      return above_.template get<Index - 1>();
    }
  }

 private:
  using rest = tower<ground_over<layer_type>(Ground), layer_type, Entries...>;

 public:
  static constexpr ground whole = rest::whole;

 private:
  layer_type here_;
  rest above_;
};

// A first entry that is no source still needs a type, so that the sentence below is all the compiler says.
template <class Entry>
struct source_of {
  using type = layer;
};
template <source_entry Entry>
struct source_of<Entry> {
  using type = typename Entry::layer_type;
};

}  // namespace strata::pmr

export namespace strata::pmr {

template <class First, class... Entries>
class stack final : public direct_layer<stack<First, Entries...>> {
  static_assert(source_entry<First>,
                "strata::pmr::stack: the first entry must be a source, such as pages{} or borrowed{&resource}: "
                "something has to make "
                "the bytes");

  using base = direct_layer<stack<First, Entries...>>;
  using source_type = typename source_of<First>::type;
  using tower_type = tower<ground_over<source_type>({}), source_type, Entries...>;

 public:
  using top_type = std::remove_reference_t<decltype(std::declval<tower_type&>().top())>;

  static constexpr bool thread_safe = top_type::thread_safe;
  static constexpr std::size_t max_alignment = top_type::max_alignment;
  static constexpr bool zeroed = top_type::zeroed;
  static constexpr bool can_release = top_type::can_release;
  static constexpr bool asks_program = tower_type::whole.asking;

  inline explicit stack(const First& first, const Entries&... entries)
      : base("stack", nullptr), source_(first), tower_(&source_, entries...) {
    this->ends_as(tower_.top());
  }

  /// The layer that serves requests.
  [[nodiscard]] inline top_type& top() noexcept { return tower_.top(); }

  /// The layer of entry number `Index`, the source being 0.
  template <std::size_t Index>
  [[nodiscard]] inline auto& get() noexcept {
    if constexpr (Index == 0) {
      return source_;
    } else {
      return tower_.template get<Index - 1>();
    }
  }

  /// What the top layer handed out, and what the whole stack holds for it: upstream as the source took it and as layers
  /// with a second upstream took it there; kept and overhead summed up. Of second upstreams, which are not the stack's,
  /// nothing else counts.
  [[nodiscard]] statistics stats() const noexcept override {
    report layers(report::reach::first_upstreams);
    collect(layers);
    statistics whole = layers.rows().back().figures;
    whole.upstream = layers.rows().front().figures.upstream;
    whole.kept = whole.overhead = whole.from_second = 0;
    for (const report::row& r : layers.rows()) {
      whole.kept += r.figures.kept;
      whole.overhead += r.figures.overhead;
      whole.upstream += r.figures.from_second;
      whole.from_second += r.figures.from_second;
    }
    return whole;
  }

  [[nodiscard]] fault check() const noexcept override { return tower_.top().check(); }

  [[nodiscard]] fork_policy at_fork() const noexcept override { return tower_.top().at_fork(); }

  /// Whether a block at `p` is of this stack. Only where the top layer can tell.
  [[nodiscard]] inline bool owns(const void* p) const noexcept
    requires knows_its_own<top_type>
  {
    return tower_.top().owns(p);
  }

  /// One row a layer, source first; the stack itself adds none.
  void collect(report& into) const noexcept override { tower_.top().collect(into); }

  /// Lets every layer give back what it kept unused for the `decay_ms` of its options, top first, so that what one gives back
  /// may be kept by the next. Layers without such an option, and those it is not set for, do nothing. `now` is
  /// the monotonic clock's, in nanoseconds. Same thread class as the stack.
  void tick(std::uint64_t now) noexcept { tick_from<sizeof...(Entries)>(now); }
  void tick() noexcept { tick(mem::monotonic_ns()); }

  /// Gives everything back; all blocks are void. Only where the top layer can.
  void release() noexcept
    requires(top_type::can_release)
  {
    top().release();
  }

 private:
  friend base;

  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    return tower_.top().allocate(bytes, alignment);
  }

  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    tower_.top().deallocate(p, bytes, alignment);
  }

  // What lies below a lock is entered under it alone.
  template <std::size_t Index>
  void tick_from(std::uint64_t now) noexcept {
    using here = std::remove_reference_t<decltype(get<Index>())>;
    if constexpr (decaying<here>) get<Index>().tick(now);
    if constexpr (Index != 0 && locking<here>) {
      get<Index>().with_upstream([&](auto& /*below*/) { tick_from<Index - 1>(now); });
    } else if constexpr (Index != 0) {
      tick_from<Index - 1>(now);
    }
  }

  source_type source_;
  tower_type tower_;
};

template <class First, class... Entries>
stack(First, Entries...) -> stack<First, Entries...>;

}  // namespace strata::pmr
