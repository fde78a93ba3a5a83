// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.mem:address_counts;

import :page_run;

/// A count, or some other number, for each of some addresses, in memory of its own from the OS.
///
/// Open addressing, linear probing, half full at most; what is removed leaves no mark behind, so it does not slow down
/// with age. Only prepare() takes memory and may fail; it gives none back before the end.
///
/// One thread at a time; nothing throws; O(1) expected.
export namespace strata::mem {

class address_counts {
 public:
  address_counts() = default;
  ~address_counts();
  address_counts(const address_counts&) = delete;
  address_counts& operator=(const address_counts&) = delete;

  /// Makes room for so many more addresses, or says why not: then nothing has changed.
  [[nodiscard]] os_error prepare(std::size_t more) noexcept;

  /// One more; returns how many that makes. Pre: prepare() made room, `address` is not 0.
  std::size_t add(std::uintptr_t address) noexcept;
  /// Sets the count of an address that has none. Pre: prepare() made room, neither is 0.
  void put(std::uintptr_t address, std::size_t count) noexcept;
  /// Takes the whole count of an address away and returns it; 0 when it has none.
  std::size_t take(std::uintptr_t address) noexcept;
  /// One less; returns how many are left. Pre: there is one.
  std::size_t remove(std::uintptr_t address) noexcept;
  [[nodiscard]] std::size_t count(std::uintptr_t address) const noexcept;

  /// Shows every address and its count, in no order.
  template <class Visitor>
  void visit(Visitor&& visitor) const {
    for (std::size_t i = 0; i < capacity_; ++i) {
      if (places_[i].address != 0) visitor(places_[i].address, places_[i].count);
    }
  }

  /// Whether each address is found where it should be, and there are as many as were counted.
  [[nodiscard]] bool is_sound() const noexcept;

  /// Addresses with a count.
  [[nodiscard]] std::size_t size() const noexcept { return used_; }
  void clear() noexcept;

 private:
  struct place {
    std::uintptr_t address;  ///< 0: none
    std::size_t count;
  };
  [[nodiscard]] place* find(std::uintptr_t address) const noexcept;
  [[nodiscard]] std::size_t home(std::uintptr_t address) const noexcept;
  void vacate(place* at) noexcept;

  page_run memory_;
  place* places_ = nullptr;
  std::size_t capacity_ = 0;  ///< a power of two, or 0
  std::size_t used_ = 0;
};

}  // namespace strata::mem
