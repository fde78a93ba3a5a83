// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <new>
#include <type_traits>

export module strata.pmr:sizeless_adaptor;

import :allocation_error;
import :layer;
import :ledger;
import :misuse;
import :report;

import strata.mem;

/// Blocks that know their size, so that they go back and are replaced without being told: malloc's calls over any
/// resource.
///
///   | … size, alignment, seal | payload …… |        16 bytes in front, more where the alignment wants it
///
/// Role           adaptor: bytes pass through, with a word of their own in front
/// Upstream       borrowed, never null, outlives this object
/// Owns           nothing
/// Thread safety  as upstream
/// Alignment      what upstream honours
/// Size           any; zero has an address of its own
/// Complexity     O(1) plus upstream; reallocating copies
/// Overhead       16 bytes a block, or its alignment if that is more
/// Throws         what upstream throws, or allocation_error for what cannot be; nothing has changed
/// Deallocate     noexcept; with the size or without. Null is fine. Twice, from inside a block, a foreign pointer, another
///                size: misuse, noticed by a seal, as long as what lies in front of the pointer can be read
/// Equality       identity
/// Fork           as upstream
/// Exit           usable as long as it lives; destruction gives nothing back
/// Signals        not for signal handlers
/// Composes       above any layer. mempool{} has these calls itself, and no word in front; this is the same over
///                std::pmr::new_delete_resource(): faster, and not autonomous
export namespace strata::pmr {

template <class Upstream>
class sizeless_adaptor;

/// A sizeless_adaptor in a stack: its options.
struct sizeless {
  template <class Upstream>
  using layer_over = sizeless_adaptor<Upstream>;

  const char* name = "sizeless";  ///< in reports and errors; outlives the layer
};

template <class Upstream = std::pmr::memory_resource>
class sizeless_adaptor final : public direct_layer<sizeless_adaptor<Upstream>> {
  using base = direct_layer<sizeless_adaptor<Upstream>>;

 public:
  using upstream_type = Upstream;
  static constexpr bool thread_safe = is_thread_safe_or_unknown<Upstream>;
  static constexpr std::size_t max_alignment = max_alignment_of<Upstream>;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = false;

  explicit sizeless_adaptor(Upstream* upstream, sizeless options = {}) noexcept
      : base(options.name, upstream), upstream_(upstream) {}

  using base::allocate;
  using base::deallocate;

  /// Takes back any live block of this layer. Null is fine.
  void deallocate(void* p) noexcept { give_back(p, any_size); }

  /// A block of `bytes` with what was at `p`, which is then void unless it is the same. The same if it holds as many. Null
  /// for `p` is no block. Throws as allocate() does: then `p` is as it was. It goes back by deallocate(p).
  [[nodiscard]] void* reallocate(void* p, std::size_t bytes);

  /// Bytes that may be used at `p`, as asked for; 0 when it is no live block of this layer.
  [[nodiscard]] std::size_t usable_size(const void* p) const noexcept {
    const word* const w = find(p);
    return w == nullptr ? 0 : w->bytes();
  }

  ~sizeless_adaptor() override { this->expect_all_back(stats()); }

  [[nodiscard]] statistics stats() const noexcept override {
    statistics figures = ledger_.figures();
    fronts_.visit([&](const auto& stripe) { figures.overhead += stripe.get(); });
    figures.upstream = figures.live + figures.overhead;
    return figures;
  }

 private:
  friend base;

  static constexpr std::size_t any_size = SIZE_MAX;
  static constexpr mem::threads for_threads = thread_safe ? mem::threads::any : mem::threads::one;

  // What lies in front of a block.
  struct word {
    std::uint64_t what;  ///< bytes : 56 | exponent of the alignment : 8
    std::uint64_t seal;

    [[nodiscard]] std::size_t bytes() const noexcept { return what >> 8; }
    [[nodiscard]] std::size_t alignment() const noexcept { return std::size_t{1} << (what & 0xFF); }
  };
  static_assert(sizeof(word) == 16);

  [[nodiscard]] std::uint64_t sealed(const word* w) const noexcept {
    return ((mem::address(w) ^ mem::address(this) ^ w->what) * 0x9E37'79B9'7F4A'7C15U) | 1U;
  }
  // Null when the block is none.
  [[nodiscard]] word* find(const void* p) const noexcept {
    if (p == nullptr || !mem::is_aligned(p, alignof(word))) return nullptr;
    auto* const w = mem::at<word>(const_cast<void*>(p), -static_cast<std::ptrdiff_t>(sizeof(word)));
    return w->seal == sealed(w) ? w : nullptr;
  }
  [[nodiscard]] static std::size_t front(std::size_t alignment) noexcept { return std::max(alignment, sizeof(word)); }

  [[nodiscard]] void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* p, std::size_t bytes, std::size_t /*alignment*/) override { give_back(p, bytes); }
  void give_back(void* p, std::size_t bytes) noexcept;

  Upstream* const upstream_;
  std::conditional_t<thread_safe, striped_ledger, ledger> ledger_;
  mem::stripes<mem::tally<for_threads>> fronts_;  ///< bytes in front of blocks; a stripe's may be below zero
};

template <class Upstream>
sizeless_adaptor(Upstream*) -> sizeless_adaptor<Upstream>;
template <class Upstream>
sizeless_adaptor(Upstream*, sizeless) -> sizeless_adaptor<Upstream>;

template <class Upstream>
void* sizeless_adaptor<Upstream>::do_allocate(std::size_t bytes, std::size_t alignment) {
  std::size_t whole = 0;
  try {
    if (!mem::checked_add(bytes, front(alignment), whole) || whole >> 56 != 0) {
      throw allocation_error(this->name(), bytes, alignment, "no machine has so much memory");
    }
    void* const start = upstream_->allocate(whole, front(alignment));
    void* const p = mem::at<void>(start, static_cast<std::ptrdiff_t>(front(alignment)));
    auto* const w = ::new (static_cast<std::byte*>(p) - sizeof(word))
        word{(std::uint64_t{bytes} << 8) | static_cast<std::uint64_t>(std::countr_zero(alignment)), 0};
    w->seal = sealed(w);
    ledger_.handed_out(bytes);
    fronts_.mine().add(front(alignment));
    return p;
  } catch (...) {
    ledger_.failed();
    throw;
  }
}

template <class Upstream>
void sizeless_adaptor<Upstream>::give_back(void* p, std::size_t bytes) noexcept {
  if (p == nullptr) return;
  word* const w = find(p);
  if (w == nullptr) {
    return report_misuse({this->name(), "deallocated what is no live block", p, bytes == any_size ? 0 : bytes, 0});
  }
  if (bytes != any_size && bytes != w->bytes()) {
    return report_misuse(
        {this->name(), "deallocated a block with another size than it was allocated with", p, bytes, w->alignment()});
  }
  const std::size_t had = w->bytes();
  const std::size_t in_front = front(w->alignment());
  w->seal = 0;
  ledger_.taken_back(had);
  fronts_.mine().subtract(in_front);
  upstream_->deallocate(static_cast<std::byte*>(p) - in_front, had + in_front, in_front);
}

template <class Upstream>
void* sizeless_adaptor<Upstream>::reallocate(void* p, std::size_t bytes) {
  if (p == nullptr) return do_allocate(bytes, alignof(std::max_align_t));
  const word* const w = find(p);
  if (w == nullptr) {
    report_misuse({this->name(), "reallocated what is no live block", p, bytes, 0});
    throw allocation_error(this->name(), bytes, alignof(std::max_align_t), "the block to be replaced is none");
  }
  if (bytes <= w->bytes()) return p;
  void* const larger = do_allocate(bytes, alignof(std::max_align_t));
  std::memcpy(larger, p, w->bytes());
  give_back(p, any_size);
  return larger;
}

static_assert(layered<sizeless_adaptor<>>);

}  // namespace strata::pmr
