// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

export module strata.mem:address_outline;

/// How many addresses of a set there are for each of 1024 hashes: says of any address, by one load, that it is not in.
///
/// Invariant: whoever has a block that is in finds its hash's count above zero, since adding it came before handing it
/// over, and every later change of the count kept it in. So a count of zero is certain, for any thread, without order
/// between them.
///
/// Any thread asks; one at a time changes. Nothing throws.
export namespace strata::mem {

class address_outline {
 public:
  static constexpr unsigned bits = 10;
  using counts = std::array<std::uint32_t, std::size_t{1} << bits>;

  [[nodiscard]] static inline std::size_t hash(std::uintptr_t address) noexcept {
    const std::uint64_t product = std::uint64_t{address} * 0x9E37'79B9'7F4A'7C15U;  // Fibonacci hashing (Knuth)
    return static_cast<std::size_t>(product >> (64 - bits));
  }

  /// False: it is not in. True: some address of this hash is.
  [[nodiscard]] inline bool may_hold(std::uintptr_t address) const noexcept {
    return counts_[hash(address)].load(std::memory_order_relaxed) != 0;
  }

  inline void add(std::uintptr_t address) noexcept { change(address, 1); }
  /// Pre: it was added.
  inline void remove(std::uintptr_t address) noexcept { change(address, 0xFFFF'FFFF); }
  inline void clear() noexcept {
    for (auto& count : counts_) count.store(0, std::memory_order_relaxed);
  }

  /// Whether these are the counts. While nobody changes them.
  [[nodiscard]] inline bool is(const counts& expected) const noexcept {
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      if (counts_[i].load(std::memory_order_relaxed) != expected[i]) return false;
    }
    return true;
  }

 private:
  // Nobody else writes: no read-modify-write is needed.
  inline void change(std::uintptr_t address, std::uint32_t by) noexcept {
    std::atomic<std::uint32_t>& count = counts_[hash(address)];
    count.store(count.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }

  std::array<std::atomic<std::uint32_t>, std::size_t{1} << bits> counts_{};
};

}  // namespace strata::mem
