// SPDX-License-Identifier: Apache-2.0
module;
#include <bit>
#include <cstdint>
#include <limits>
#include <string>

export module strata.pmr:option_check;

/// What is said of options that cannot be: by which layer, under which name, which one, what it is, and what it may be.
///
///     strata::pmr::fragments "pool": max_regions is 65; it has to be 1 to 64
///
/// The exception is std::invalid_argument. Options that can be cost nothing and allocate nothing.
export namespace strata::pmr {

class option_check {
 public:
  /// No end to what may be.
  static constexpr std::uint64_t any = std::numeric_limits<std::uint64_t>::max();

  /// `layer` as its options are called, `name` as the program calls the resource; both outlive this.
  inline constexpr option_check(const char* layer, const char* name) noexcept : layer_(layer), name_(name) {}

  inline void within(std::uint64_t least, std::uint64_t most, const char* option, std::uint64_t value) const {
    if (value < least || value > most) refuse(option, value, "", least, most);
  }
  inline void power_of_two(std::uint64_t least, std::uint64_t most, const char* option, std::uint64_t value) const {
    if (!std::has_single_bit(value) || value < least || value > most)
      refuse(option, value, "a power of two, ", least, most);
  }
  /// Unless it holds: `remedy` says what may be.
  inline void require(bool holds, const char* option, std::uint64_t value, const char* remedy) const {
    if (!holds) refuse(option, value, remedy);
  }
  /// Where it is not one number that is wrong: `why` says what is, and what to do.
  inline void require(bool holds, const char* why) const {
    if (!holds) refuse(why);
  }

  [[noreturn]] void refuse(const std::string& why) const;

 private:
  [[noreturn]] void refuse(const char* option, std::uint64_t value, const std::string& remedy) const;
  [[noreturn]] void refuse(const char* option, std::uint64_t value, const char* kind, std::uint64_t least,
                           std::uint64_t most) const;

  const char* layer_;
  const char* name_;
};

}  // namespace strata::pmr
