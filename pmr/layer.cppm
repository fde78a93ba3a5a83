// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory_resource>
#include <optional>
#include <span>
#include <string_view>

export module strata.pmr:layer;

import :report;
import :text_sink;

import strata.mem;

/// What every layer is: a std::pmr::memory_resource that can be asked.
///
/// The four laws of a layer. (1) do_allocate returns aligned, non-null memory, zero bytes included, or throws
/// std::bad_alloc or the upstream's own exception. (2) Allocating asks upstream first and keeps books second,
/// deallocating the other way round; a throw leaves everything as it was. (3) do_deallocate never throws and never
/// allocates. (4) Equality is identity.
namespace strata::pmr {

// The first thing a layer has and the last it loses: its name. In checked builds what it was then answers for it, as long
// as nobody else uses the storage: each call is reported as use after destruction.
class layer_remains {
 protected:
  inline explicit layer_remains(const char* name) noexcept : name_(name) {}
  inline ~layer_remains() {
    if constexpr (mem::checked) leave_mark();
  }

  const char* const name_;

 private:
  void leave_mark() noexcept;
};

}  // namespace strata::pmr

export namespace strata::pmr {

/// What check() found; `sentence` is null when all is well.
struct fault {
  const char* sentence = nullptr;  ///< what contradicts what
  const void* where = nullptr;     ///< the block concerned, if any

  [[nodiscard]] inline bool found() const noexcept { return sentence != nullptr; }
};

/// What becomes of blocks that live on when their layer is destroyed.
enum class live_at_end : std::uint8_t {
  as_upstream,  ///< they stay upstream's: as that one sees it
  given_back,   ///< all of them go back: no fault of the program
  misuse,       ///< nobody can give them back any more
};

/// What a child of fork() finds, from good to bad. Its parent finds no change.
enum class fork_policy : std::uint8_t {
  works,    ///< blocks of its own with what was in them; it allocates and deallocates at once
  shared,   ///< the same blocks, not copies: of parent and child one may go on with a layer that keeps books in them
  wiped,    ///< blocks are lost there: zeros, or a fault. New ones can be had
  refused,  ///< blocks are lost and the layer's books with them: the child must not use it
};

class layer : private layer_remains, public std::pmr::memory_resource {
 public:
  layer(const layer&) = delete;
  layer& operator=(const layer&) = delete;

  /// As given in the options: says which memory this is in reports and errors.
  [[nodiscard]] inline const char* name() const noexcept { return name_; }

  /// The resource this layer asks; null for a source. Of two the first.
  [[nodiscard]] inline std::pmr::memory_resource* upstream() const noexcept { return upstream_.from(); }

  /// The other resource, of a layer that has two; else null.
  [[nodiscard]] inline std::pmr::memory_resource* second_upstream() const noexcept { return second_upstream_.from(); }

  /// Figures of this layer alone. Same thread class as the layer.
  [[nodiscard]] virtual statistics stats() const noexcept = 0;

  /// Verifies this layer and all below it, reads only. Returns what it finds first. Same thread class as the layer.
  [[nodiscard]] virtual fault check() const noexcept;

  /// Fills `out` with the states this layer is degraded by; returns how many there are, which may be more than fit.
  [[nodiscard]] virtual std::size_t degraded(std::span<degradation> out) const noexcept;

  /// Of what this layer took from the OS: bytes in RAM. Nothing when it takes none there itself, or does not know. May
  /// take time for each page. Same thread class as the layer.
  [[nodiscard]] virtual std::optional<std::size_t> resident() const noexcept;

  /// What a child of fork() finds, as this layer and those below are made. As bad as the worst below, unless a layer says
  /// otherwise. Any thread.
  [[nodiscard]] virtual fork_policy at_fork() const noexcept;

  /// Adds a row for each layer below, source first, then one for this; of two upstreams first those of the first. A
  /// resource below that is no layer ends the line.
  virtual void collect(report& into) const noexcept;

  /// Prints one row a layer, source first, and what is degraded. Same thread class as the layer; no lock is held while
  /// printing.
  void write_report(std::FILE* out) const;

  /// The same for programs: a JSON object, and the text that Prometheus reads. `resource` says which memory this is;
  /// empty: this layer's name.
  void write_json(const text_sink& out, std::string_view resource = {}) const;
  void write_prometheus(const text_sink& out, std::string_view resource = {}) const;

 protected:
  /// `upstream` is borrowed and outlives this layer, and so is `second` where there are two; if it is a layer it will
  /// say so, with both names, when it does not.
  layer(const char* name, std::pmr::memory_resource* upstream, std::pmr::memory_resource* second = nullptr,
        live_at_end end = live_at_end::as_upstream) noexcept;
  ~layer() override;

  /// For a destructor. In checked builds reports the blocks of `figures`, if there are any and if what is below is known
  /// not to take them back by itself. Where upstream is no layer, nothing is known: a pool may well do.
  inline void expect_all_back(const statistics& figures) const noexcept {
    if constexpr (mem::checked) {
      if (figures.live_blocks != 0 && end_ == live_at_end::misuse) {
        report_live("destroyed with live blocks: nobody gives them back to their upstream any more", figures);
      }
    }
  }
  /// For a destructor: reports the live blocks of `figures`, and whose they are.
  void report_live(const char* sentence, const statistics& figures) const noexcept;

  /// at_fork() of a layer that keeps books in memory from upstream: where that is lost, so are they.
  [[nodiscard]] fork_policy at_fork_with_books_in_upstream() const noexcept;

  /// For an assembly: it ends as its top layer does.
  inline void ends_as(const layer& top) noexcept { end_ = top.end_; }

  /// The rows of the layers below.
  void collect_below(report& into) const noexcept;

  /// The row of this layer, with these figures.
  void add_to(report& into, const statistics& figures) const noexcept;

 private:
  friend layer_remains;

  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept final { return this == &other; }

  // A resource that is borrowed: if it is a layer, it knows, and ends the loan when it dies first.
  class loan {
   public:
    loan(const layer& by, std::pmr::memory_resource* from) noexcept;
    ~loan();
    loan(const loan&) = delete;
    loan& operator=(const loan&) = delete;

    [[nodiscard]] inline std::pmr::memory_resource* from() const noexcept { return from_; }
    [[nodiscard]] inline const layer* below() const noexcept { return below_; }

   private:
    friend layer;

    const layer& by_;
    std::pmr::memory_resource* const from_;
    layer* below_;          ///< from_ when that is a layer and lives, else null
    loan* next_ = nullptr;  ///< of the same upstream's, under the lock of all loans
    loan* previous_ = nullptr;
  };

  loan upstream_;
  loan second_upstream_;
  std::atomic<loan*> borrowers_{nullptr};  ///< loans of this layer; written under the lock of all loans
  live_at_end end_;
};

/// Base of a final layer class `Derived`: calls through the class itself need no virtual table.
///
/// A layer over an upstream of known type calls `upstream->allocate(…)` and the compiler sees into it; a layer over a
/// plain std::pmr::memory_resource makes the usual virtual call. `Derived` befriends this base.
template <class Derived>
class direct_layer : public layer {
 public:
  [[nodiscard]] inline void* allocate(std::size_t bytes, std::size_t alignment = alignof(std::max_align_t)) {
    return static_cast<Derived*>(this)->Derived::do_allocate(bytes, alignment);
  }

  inline void deallocate(void* p, std::size_t bytes, std::size_t alignment = alignof(std::max_align_t)) {
    static_cast<Derived*>(this)->Derived::do_deallocate(p, bytes, alignment);
  }

 protected:
  inline direct_layer(const char* name, std::pmr::memory_resource* upstream,
                      std::pmr::memory_resource* second = nullptr) noexcept
      : layer(name, upstream, second, end_of_derived()) {}
  ~direct_layer() override = default;

 private:
  // As the class states.
  [[nodiscard]] static consteval live_at_end end_of_derived() noexcept {
    if constexpr (requires { requires Derived::wants_all_back; }) return live_at_end::misuse;
    if constexpr (requires { requires Derived::can_release; }) return live_at_end::given_back;
    return live_at_end::as_upstream;
  }
};

/// What a layer states about itself as constants.
///
/// thread_safe: every member may be called from any thread. max_alignment: largest alignment served, in bytes. zeroed:
/// fresh blocks read as zero. can_release: has release(), which gives everything back at once, as its destruction does.
/// A layer whose live blocks are lost when it is destroyed may also state wants_all_back: adaptors above it then report
/// their own.
template <class T>
concept states_facts = requires {
  { T::thread_safe } -> std::convertible_to<bool>;
  { T::max_alignment } -> std::convertible_to<std::size_t>;
  { T::zeroed } -> std::convertible_to<bool>;
  { T::can_release } -> std::convertible_to<bool>;
};

/// A layer that makes its own bytes.
template <class T>
concept source = std::derived_from<T, layer> && states_facts<T> && !requires { typename T::upstream_type; };

/// A layer that takes its bytes from an upstream: an adaptor, a keeper or a combiner.
template <class T>
concept layered = std::derived_from<T, layer> && states_facts<T> && requires { typename T::upstream_type; };

/// A resource that can tell of any address, at once, whether a block there is its own. Same thread class as allocate.
template <class T>
concept knows_its_own = requires(const T& resource, const void* p) {
  { resource.owns(p) } noexcept -> std::same_as<bool>;
};

}  // namespace strata::pmr

/// Facts of an upstream that may not be a layer: nothing is promised, anything may be asked.
namespace strata::pmr {

template <class Upstream>
inline constexpr std::size_t max_alignment_of = std::size_t{1} << 62;
template <states_facts Upstream>
inline constexpr std::size_t max_alignment_of<Upstream> = Upstream::max_alignment;

template <class Upstream>
inline constexpr bool is_thread_safe_or_unknown = true;
template <states_facts Upstream>
inline constexpr bool is_thread_safe_or_unknown<Upstream> = Upstream::thread_safe;

template <class Upstream>
inline constexpr bool zeroed_by = false;
template <states_facts Upstream>
inline constexpr bool zeroed_by<Upstream> = Upstream::zeroed;

template <class Upstream>
concept asking = requires { requires Upstream::asks_program; };

}  // namespace strata::pmr
