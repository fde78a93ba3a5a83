// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>

module strata.mem:sampling_meter.impl;

import :bytes;
import :sampling_meter;
import :schedule;
import :thread_number;
import :threads;

namespace strata::mem {

sample_weight weight_of(std::size_t bytes, std::size_t mean) noexcept {
  if (mean <= 1) return {sample_weight::unit, sample_weight::unit * bytes};
  const double charged = static_cast<double>(std::max<std::size_t>(bytes, 1));
  const double blocks = static_cast<double>(sample_weight::unit) / -std::expm1(-charged / static_cast<double>(mean));
  return {static_cast<std::uint64_t>(std::round(blocks)),
          static_cast<std::uint64_t>(std::round(blocks * static_cast<double>(bytes)))};
}

template <threads Threads>
sampling_meter<Threads>::sampling_meter(std::size_t mean, std::uint64_t seed) noexcept
    : mean_(std::min(mean, std::size_t{1} << 56)), seed_(seed) {}  // so that a draw fits into 64 bits

// With whole numbers D = floor(E) + 1, E exponential: more than S with probability exp(-S/R), as it should.
template <threads Threads>
std::uint64_t sampling_meter<Threads>::gap(account& of) noexcept {
  std::uint64_t x = of.random.load(std::memory_order_relaxed);
  if (x == 0) {
    // splitmix64 (Steele, Lea, Flood) of the seed and the account's number
    x = seed_ + 0x9E37'79B9'7F4A'7C15U * (static_cast<std::uint64_t>(&of - accounts_.data()) + 1);
    x = (x ^ (x >> 30)) * 0xBF58'476D'1CE4'E5B9U;
    x = (x ^ (x >> 27)) * 0x94D0'49BB'1331'11EBU;
    x = (x ^ (x >> 31)) | 1;
  }
  x ^= x >> 12;  // xorshift64* (Vigna): the multiplied upper bits are those used
  x ^= x << 25;
  x ^= x >> 27;
  of.random.store(x, std::memory_order_relaxed);
  const std::uint64_t bits = (x * 0x2545'F491'4F6C'DD1DU) >> 11;
  const double uniform = (static_cast<double>(bits) + 1) * 0x1p-53;  // in (0, 1]
  return static_cast<std::uint64_t>(-std::log(uniform) * static_cast<double>(mean_)) + 1;
}

template <threads Threads>
bool sampling_meter<Threads>::choose(std::size_t bytes) noexcept {
  if constexpr (many) {
    const std::size_t number = take_thread_number();
    if (number == 0) return choose_shared(bytes);
    for (std::size_t used = used_.load(std::memory_order_relaxed); used <= number;) {
      if (used_.compare_exchange_weak(used, number + 1, std::memory_order_relaxed)) break;
    }
  }
  account& mine = here();
  add(mine.allocations, 1);
  const std::uint64_t before = mine.left.load(std::memory_order_relaxed);
  const std::uint64_t left = before == 0 ? gap(mine) : before;
  const bool chosen = bytes >= left;
  const std::uint64_t then = chosen ? gap(mine) : left - bytes;
  // Odd already in a child of fork(), where it was another thread's, and half-way: then what was settled holds.
  const std::uint64_t version = mine.version.load(std::memory_order_relaxed);
  if (version % 2 == 0) {
    mine.settled.store(mine.drawn.load(std::memory_order_relaxed) - before, std::memory_order_release);
  }
  const std::uint64_t settled = mine.settled.load(std::memory_order_relaxed);
  mine.version.store(version | 1, std::memory_order_release);
  mine.drawn.store(settled + bytes + then, std::memory_order_release);
  reached(moment::half_drawn);
  mine.left.store(then, std::memory_order_release);
  mine.version.store((version | 1) + 1, std::memory_order_release);
  return chosen;
}

// Drawn and left must be of one moment. While they are being changed, however long their thread is stopped meanwhile, what was
// settled before is the answer. Each field is released after what makes it hold, and seen with it: so an answer between two
// equal looks at the version is of one moment, and looks that differ mean that their thread goes on.
template <threads Threads>
std::size_t sampling_meter<Threads>::account::handed_out() const noexcept {
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const std::uint64_t seen = version.load(std::memory_order_acquire);
    std::uint64_t sum = 0;
    if (seen % 2 != 0) {
      sum = settled.load(std::memory_order_acquire);
    } else {
      sum = drawn.load(std::memory_order_acquire);
      sum -= left.load(std::memory_order_acquire);
    }
    if (version.load(std::memory_order_relaxed) == seen) return static_cast<std::size_t>(sum);
  }
  return static_cast<std::size_t>(settled.load(std::memory_order_relaxed));
}

template <threads Threads>
bool sampling_meter<Threads>::choose_shared(std::size_t bytes) noexcept {
  account& all = accounts_[0];
  all.drawn.fetch_add(bytes, std::memory_order_relaxed);
  all.allocations.fetch_add(1, std::memory_order_relaxed);
  std::uint64_t seen = shared_left_.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint64_t left = seen == 0 ? gap(all) : seen;
    const bool chosen = bytes >= left;
    const std::uint64_t then = chosen ? gap(all) : left - bytes;
    if (shared_left_.compare_exchange_weak(seen, then, std::memory_order_relaxed)) return chosen;
  }
}

// The account of a thread without a number is written by many.
template <threads Threads>
void sampling_meter<Threads>::undo(std::size_t bytes) noexcept {
  account& mine = here();
  mine.drawn.fetch_sub(bytes, std::memory_order_relaxed);
  mine.allocations.fetch_sub(1, std::memory_order_relaxed);
}

template <threads Threads>
void sampling_meter<Threads>::take_back_shared(std::size_t bytes) noexcept {
  accounts_[0].taken_back.fetch_add(bytes, std::memory_order_relaxed);
  accounts_[0].deallocations.fetch_add(1, std::memory_order_relaxed);
}

// What came is read before what went, so that what is live is rather too little than too much: a peak of it was there.
template <threads Threads>
metered sampling_meter<Threads>::count() const noexcept {
  metered sum;
  const std::size_t used = used_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < used; ++i) {
    sum.handed_out += accounts_[i].handed_out();
    sum.allocations += accounts_[i].allocations.load(std::memory_order_relaxed);
  }
  for (const account& a : accounts_) {
    sum.taken_back += a.taken_back.load(std::memory_order_relaxed);
    sum.deallocations += a.deallocations.load(std::memory_order_relaxed);
  }
  return sum;
}

template <threads Threads>
void sampling_meter<Threads>::release() noexcept {
  const metered sum = count();
  accounts_[0].taken_back.fetch_add(sum.handed_out - sum.taken_back, std::memory_order_relaxed);
  accounts_[0].deallocations.fetch_add(sum.allocations - sum.deallocations, std::memory_order_relaxed);
}

template class sampling_meter<threads::any>;
template class sampling_meter<threads::one>;

}  // namespace strata::mem
