// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <type_traits>

export module strata.pmr:block_origins;

import :layer;

import strata.mem;

/// Which of two upstreams a block came from, for a layer that takes blocks from both.
///
/// Where the first can tell its own (`owns(p)`), it is asked; else where the second can, that is; else the second's
/// blocks, which are the rarer, are remembered.
///
/// Any thread, or with threads::one one at a time, as far as the upstreams let; nothing throws or asks upstream for
/// memory; O(1).
export namespace strata::pmr {

enum class origin : unsigned char {
  first,
  second,
  none,        ///< of neither; only where both can tell
  other_size,  ///< of the second, but not of that size; only where they are remembered
};

/// A misuse as a sentence; null for none.
[[nodiscard]] const char* describe(origin from) noexcept;

template <class First, class Second, mem::threads Threads>
class block_origins {
 public:
  static constexpr bool remembers = !knows_its_own<First> && !knows_its_own<Second>;

  block_origins(const First* first, const Second* second) noexcept : first_(first), second_(second) {}

  /// Makes room for so many blocks of the second's, or says why not.
  [[nodiscard]] mem::os_error prepare(std::size_t blocks) noexcept {
    if constexpr (remembers) return of_second_.prepare(blocks);
    return {};
  }

  /// A block came from the second; or why it cannot be remembered: then nothing has changed.
  [[nodiscard]] mem::os_error add(const void* p, std::size_t bytes) noexcept {
    if constexpr (remembers) return of_second_.add(p, bytes);
    return {};
  }

  /// Where a block that goes back came from. If from the second, it is forgotten; a misuse changes nothing.
  [[nodiscard]] inline origin take(const void* p, std::size_t bytes) noexcept {
    if constexpr (knows_its_own<First>) {
      if (first_->owns(p)) [[likely]] {
        return origin::first;
      }
      if constexpr (knows_its_own<Second>) {
        if (!second_->owns(p)) return origin::none;
      }
      return origin::second;
    } else if constexpr (knows_its_own<Second>) {
      return second_->owns(p) ? origin::second : origin::first;
    } else {
      const mem::set_answer answer = of_second_.take(p, bytes);
      if (answer == mem::set_answer::absent) [[likely]] {
        return origin::first;
      }
      return answer == mem::set_answer::taken ? origin::second : origin::other_size;
    }
  }

  /// What is wrong with what is remembered, or null.
  [[nodiscard]] const char* check() const noexcept {
    if constexpr (remembers) return of_second_.check();
    return nullptr;
  }

  /// Why the lock is not known to fork(), if there is one and it is not.
  [[nodiscard]] mem::os_error unknown_to_fork() const noexcept {
    if constexpr (remembers) return of_second_.unknown_to_fork();
    return {};
  }

 private:
  struct nothing {};

  const First* const first_;
  const Second* const second_;
  [[no_unique_address]] std::conditional_t<remembers, mem::block_set<Threads>, nothing> of_second_;
};

}  // namespace strata::pmr
