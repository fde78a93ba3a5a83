// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>

export module strata.mem:stripes;

import :bytes;
import :thread_number;

/// A T for each of some groups of threads, a cache line apart, so that threads seldom write to the same line.
///
/// Which group a thread belongs to follows from the address of its thread_local storage: nothing is registered, nothing
/// can run out, and nothing is left behind by a thread that ends. Two threads may share a stripe, so a T is written with
/// atomic operations all the same.
export namespace strata::mem {

/// A number below 2^16 that spreads threads: the same for a thread each time.
[[nodiscard]] inline std::size_t stripe_of_this_thread() noexcept {
  // Fibonacci hashing: the upper bits of the product depend on all of the address.
  return static_cast<std::size_t>(std::uint64_t{address(&number_of_this_thread)} * 0x9E37'79B9'7F4A'7C15U >> 48);
}

template <class T, std::size_t Count = 16>
class stripes {
  static_assert(Count > 1 && (Count & (Count - 1)) == 0, "stripes: a power of two");

 public:
  /// That of the calling thread.
  [[nodiscard]] inline T& mine() noexcept { return all_[stripe_of_this_thread() % Count].value; }

  /// All of them, for whoever adds up.
  template <class Visitor>
  inline void visit(Visitor&& visitor) {
    for (one& stripe : all_) visitor(stripe.value);
  }
  template <class Visitor>
  inline void visit(Visitor&& visitor) const {
    for (const one& stripe : all_) visitor(stripe.value);
  }

 private:
  // Two lines: processors fetch neighbours together.
  struct alignas(128) one {
    T value{};
  };

  std::array<one, Count> all_{};
};

}  // namespace strata::mem
