// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

export module bench:random;

/// Choices that cost next to nothing beside what is measured, and are the same in every run.
export namespace bench {

/// Xorshift: about a nanosecond a number.
class random_numbers {
 public:
  explicit random_numbers(std::uint64_t seed) : state_(seed * 2 + 1) {}

  inline std::uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ * 0x2545f4914f6cdd1dU;
  }

  /// Returns a number below `limit`, which is less than 2^32. The upper bits are the good ones.
  inline std::size_t below(std::size_t limit) { return static_cast<std::size_t>((next() >> 32) * limit >> 32); }

 private:
  std::uint64_t state_;  // never 0
};

/// Sizes between two bounds, both included, each doubling as likely as the next: what programs ask for, roughly.
class log_uniform_sizes {
 public:
  log_uniform_sizes(std::size_t least, std::size_t most) {
    const double factor = static_cast<double>(most) / static_cast<double>(least);
    for (std::size_t i = 0; i < sizes_.size(); ++i) {
      const double exponent = static_cast<double>(i) / static_cast<double>(sizes_.size() - 1);
      sizes_[i] = static_cast<std::uint32_t>(std::lround(static_cast<double>(least) * std::pow(factor, exponent)));
    }
  }

  inline std::size_t pick(random_numbers& random) const { return sizes_[random.below(sizes_.size())]; }

 private:
  std::array<std::uint32_t, 4096> sizes_{};
};

/// Sizes between two bounds, both included, all as likely: drawn once, so that everyone gets the same in the same order.
class drawn_sizes {
 public:
  drawn_sizes(std::size_t least, std::size_t most, std::uint64_t seed) {
    random_numbers random(seed);
    for (std::uint32_t& size : sizes_) size = static_cast<std::uint32_t>(least + random.below(most - least + 1));
  }

  /// Number `place`, counted round.
  inline std::size_t operator[](std::size_t place) const { return sizes_[place % sizes_.size()]; }

  inline std::size_t pick(random_numbers& random) const { return (*this)[random.below(sizes_.size())]; }

  [[nodiscard]] std::span<const std::uint32_t> all() const { return sizes_; }

 private:
  std::array<std::uint32_t, 4096> sizes_{};
};

}  // namespace bench
