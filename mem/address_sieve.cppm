// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

export module strata.mem:address_sieve;

import :bytes;
import :page_run;

/// Says of nearly every address that is not in a set that it is not, by one look at one word: for sets that grow.
///
///   place    what may be in: nothing, one address, or several
///   tally    how many addresses of this hash there are, and all of them XORed, so that the last one left is known
///
/// Invariant: whoever has an address that is in finds its place saying that address, or several. Adding it came before
/// handing it over, and every later change of the place kept it so; this holds in whichever table is looked at, since a
/// table that was replaced is not changed any more. So "no" is certain, for any thread, without order between them.
///
/// The first table lies in the object. One whose places are a quarter full is replaced by one of twice as many, in
/// memory from the OS; those that were replaced stay until the end, as others may be reading them. Where the OS has no
/// memory, the table becomes crowded instead, and says "maybe" more often.
///
/// Any thread asks; one at a time changes. Nothing throws.
export namespace strata::mem {

class address_sieve {
 public:
  address_sieve() noexcept;
  ~address_sieve();
  address_sieve(const address_sieve&) = delete;
  address_sieve& operator=(const address_sieve&) = delete;

  /// False: it is not in. True: look.
  [[nodiscard]] inline bool may_hold(std::uintptr_t address) const noexcept {
    const std::uintptr_t table = table_.load(std::memory_order_acquire);
    const place* const places = reinterpret_cast<const place*>(table & ~shift_mask);
    const std::uintptr_t found = places[hash(address) >> (table & shift_mask)].load(std::memory_order_relaxed);
    if (found == nothing) [[likely]]
      return false;
    return found == address || found == several;
  }

  /// Pre: it is not in, and is neither 0 nor 1.
  void add(std::uintptr_t address) noexcept;
  /// Pre: it is in.
  void remove(std::uintptr_t address) noexcept;

  /// Whether it would say "no" more often in a larger table: then grow() before adding.
  [[nodiscard]] inline bool is_crowded() const noexcept { return size_ * 4 >= capacity_; }

  /// Takes a larger table. `visit_all(f)` calls f with each address that is in. False when there is no memory: nothing
  /// has changed.
  template <class VisitAll>
  bool grow(VisitAll&& visit_all) noexcept {
    if (!prepare_larger()) return false;
    visit_all([this](std::uintptr_t address) { enter(address); });
    publish();
    return true;
  }

  /// From now on "maybe" for every address: for an owner of all there are.
  void let_all_through() noexcept;

  /// Whether it holds as many as this, each found by its visit. `visit_all` as for grow().
  template <class VisitAll>
  [[nodiscard]] bool holds_just(std::size_t count, VisitAll&& visit_all) const noexcept {
    bool found = count == size_;
    visit_all([&](std::uintptr_t address) { found = found && may_hold(address); });
    return found;
  }

  [[nodiscard]] inline std::size_t size() const noexcept { return size_; }
  [[nodiscard]] inline std::size_t bytes() const noexcept { return bytes_; }  ///< taken from the OS

 private:
  using place = std::atomic<std::uintptr_t>;
  struct tally {
    std::uintptr_t mixed;
    std::size_t count;
  };

  static constexpr std::uintptr_t nothing = 0;
  static constexpr std::uintptr_t several = 1;
  static constexpr std::size_t first_capacity = 64;
  static constexpr std::uintptr_t shift_mask = 63;  ///< a table lies at a multiple of 64: the rest says how to hash

  [[nodiscard]] static inline std::uint64_t hash(std::uintptr_t address) noexcept {
    return std::uint64_t{address} * 0x9E37'79B9'7F4A'7C15U;  // Fibonacci hashing (Knuth)
  }
  [[nodiscard]] std::size_t index_of(std::uintptr_t address) const noexcept;
  void enter(std::uintptr_t address) noexcept;
  void show(std::size_t index) noexcept;
  [[nodiscard]] bool prepare_larger() noexcept;
  void publish() noexcept;

  alignas(64) std::array<place, first_capacity> first_places_{};
  std::array<tally, first_capacity> first_tallies_{};
  std::atomic<std::uintptr_t> table_;  ///< the places; in its lower bits the shift that leaves an index of a hash
  place* places_;                      ///< of the table that is changed: the newest
  tally* tallies_;
  unsigned shift_;
  std::size_t capacity_ = first_capacity;  ///< a power of two
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
  bool open_ = false;  ///< all are let through
  std::array<page_run, 48> runs_{};
  std::size_t run_count_ = 0;
};

}  // namespace strata::mem
