// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <mutex>
#include <new>
#include <random>
#include <utility>

namespace strata::test {

/// Passes everything to its upstream, except the requests it was told to fail. Starts by failing none.
///
/// Role           adaptor, holds nothing
/// Thread safety  every member from any thread
/// Throws         std::bad_alloc, or the type given to throwing<E>(); and what upstream throws
class failing_resource final : public std::pmr::memory_resource {
 public:
  /// \param upstream  borrowed, not null
  explicit failing_resource(std::pmr::memory_resource* upstream) : upstream_(upstream) {}
  failing_resource(const failing_resource&) = delete;
  failing_resource& operator=(const failing_resource&) = delete;

  // Each of these starts the counts of requests() and failures() anew. Requests count from 1.
  void never();                                            ///< fails no request
  void at(std::size_t n);                                  ///< fails the n-th request from now, that one only
  void from(std::size_t n);                                ///< fails the n-th request from now and all behind it
  void at_random(double probability, std::uint64_t seed);  ///< fails each request with this probability

  /// The type of exception thrown from now on.
  template <std::derived_from<std::bad_alloc> E>
  void throwing() {
    const std::lock_guard lock(mutex_);
    throw_ = [] { throw E(); };
  }

  [[nodiscard]] std::size_t requests() const;  ///< allocations asked since armed
  [[nodiscard]] std::size_t failures() const;  ///< of which were failed

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    upstream_->deallocate(memory, bytes, alignment);
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  void arm(std::size_t first, std::size_t last, double probability);

  std::pmr::memory_resource* const upstream_;
  mutable std::mutex mutex_;
  std::size_t first_ = 0;  // requests first_ … last_ fail; 0: none
  std::size_t last_ = 0;
  double probability_ = 0;
  std::mt19937_64 random_;
  std::size_t requests_ = 0;
  std::size_t failures_ = 0;
  void (*throw_)() = [] { throw std::bad_alloc(); };
};

/// Calls `work` with the first request to `upstream` failing, then the second, and so on until it succeeds with none
/// failed. After each call that ended in std::bad_alloc, calls `check` with nothing failing any more. Fails the test
/// when `limit` calls were not enough, or when `work` throws although nothing was failed.
///
/// \return how many calls of `work` met a failure
template <class Work, class Check>
std::size_t until_it_succeeds(failing_resource& upstream, Work&& work, Check&& check, std::size_t limit = 10'000) {
  for (std::size_t n = 1; n <= limit; ++n) {
    upstream.at(n);
    try {
      work();
      const bool met_none = upstream.failures() == 0;
      upstream.never();
      if (met_none) return n - 1;
    } catch (const std::bad_alloc&) {
      const bool met_none = upstream.failures() == 0;
      upstream.never();
      if (met_none) {
        ADD_FAILURE() << "std::bad_alloc although upstream failed nothing";
        return n - 1;
      }
      check();
    }
  }
  ADD_FAILURE() << "still failing after " << limit << " attempts";
  return limit;
}

template <class Work>
std::size_t until_it_succeeds(failing_resource& upstream, Work&& work) {
  return until_it_succeeds(upstream, std::forward<Work>(work), [] {});
}

}  // namespace strata::test
