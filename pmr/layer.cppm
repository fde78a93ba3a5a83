// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdio>
#include <memory_resource>
#include <optional>
#include <span>
#include <string_view>

export module strata.pmr:layer;

import :report;
import :text_sink;

/// What every layer is: a std::pmr::memory_resource that can be asked.
///
/// The four laws of a layer. (1) do_allocate returns aligned, non-null memory, zero bytes included, or throws
/// std::bad_alloc or the upstream's own exception. (2) Allocating asks upstream first and keeps books second,
/// deallocating the other way round; a throw leaves everything as it was. (3) do_deallocate never throws and never
/// allocates. (4) Equality is identity.
export namespace strata::pmr {

/// What check() found; `sentence` is null when all is well.
struct fault {
  const char* sentence = nullptr;  ///< what contradicts what
  const void* where = nullptr;     ///< the block concerned, if any

  [[nodiscard]] inline bool found() const noexcept { return sentence != nullptr; }
};

class layer : public std::pmr::memory_resource {
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
  /// say so, by name, when it does not.
  layer(const char* name, std::pmr::memory_resource* upstream, std::pmr::memory_resource* second = nullptr) noexcept;
  ~layer() override;

  /// The rows of the layers below.
  void collect_below(report& into) const noexcept;

  /// The row of this layer, with these figures.
  void add_to(report& into, const statistics& figures) const noexcept;

 private:
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept final { return this == &other; }

  // A resource that is borrowed: if it is a layer, it knows.
  class loan {
   public:
    explicit loan(std::pmr::memory_resource* from) noexcept;
    ~loan();
    loan(const loan&) = delete;
    loan& operator=(const loan&) = delete;

    [[nodiscard]] inline std::pmr::memory_resource* from() const noexcept { return from_; }
    [[nodiscard]] inline const layer* below() const noexcept { return below_; }

   private:
    std::pmr::memory_resource* const from_;
    layer* const below_;  ///< from_ when that is a layer, else null
  };

  const char* name_;
  loan upstream_;
  loan second_upstream_;
  std::atomic<std::size_t> borrowers_{0};  ///< loans of this layer
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
  using layer::layer;
  ~direct_layer() override = default;
};

/// What a layer states about itself as constants.
///
/// thread_safe: every member may be called from any thread. max_alignment: largest alignment served, in bytes. zeroed:
/// fresh blocks read as zero. can_release: has release(), which gives everything back at once.
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
