// SPDX-License-Identifier: Apache-2.0
// Claims: what is chosen, weighed, is without bias what there was, in blocks and in bytes, for sizes far below and far
// above the mean, mixed and in any order (within three standard errors over many seeds, which are printed); gaps are
// exponential; blocks of no bytes are counted alone; counts are exact, at every moment, for threads with and without a
// number, one that is stopped in the middle of a draw and one that a child does not have; a seed chooses the same again;
// what came to nothing and what was released is counted out.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

struct estimate {
  double blocks = 0;
  double bytes = 0;
};

template <threads Threads>
estimate sample(sampling_meter<Threads>& meter, const std::vector<std::size_t>& sizes) {
  estimate sum;
  for (const std::size_t bytes : sizes) {
    if (meter.passes(bytes) || !meter.choose(bytes)) continue;
    const sample_weight weight = weight_of(bytes, meter.mean());
    sum.blocks += static_cast<double>(weight.blocks) / sample_weight::unit;
    sum.bytes += static_cast<double>(weight.bytes) / sample_weight::unit;
  }
  return sum;
}

/// The mean over many seeds lies within three standard errors of the truth, which are themselves small.
void expect_no_bias(const std::string& what, const std::vector<std::size_t>& sizes, std::size_t mean) {
  constexpr std::uint64_t first_seed = 1000;
  constexpr std::size_t seeds = 400;
  estimate truth;
  for (const std::size_t bytes : sizes) truth.bytes += static_cast<double>(bytes);
  truth.blocks = static_cast<double>(sizes.size());
  std::vector<estimate> got;
  for (std::uint64_t seed = first_seed; seed < first_seed + seeds; ++seed) {
    const auto meter = std::make_unique<sampling_meter<threads::one>>(mean, seed * 0x1234'5678'9ABC'DEF1U);
    got.push_back(sample(*meter, sizes));
  }
  const auto check = [&](const char* unit, double expected, double estimate::* of) {
    double sum = 0;
    double squares = 0;
    for (const estimate& each : got) {
      sum += each.*of;
      squares += each.*of * each.*of;
    }
    const double average = sum / seeds;
    const double error = std::sqrt((squares / seeds - average * average) / seeds);
    SCOPED_TRACE(what + ", " + unit + ": seeds " + std::to_string(first_seed) + " and the next " +
                 std::to_string(seeds) + ", standard error " + std::to_string(error));
    EXPECT_NEAR(average, expected, 3 * error + 1e-6 * expected);
    EXPECT_LT(error, 0.1 * expected + 1e-6);
  };
  check("blocks", truth.blocks, &estimate::blocks);
  check("bytes", truth.bytes, &estimate::bytes);
}

TEST(SamplingMeter, HasNoBiasForSmallBlocks) { expect_no_bias("64", std::vector<std::size_t>(20'000, 64), 16'384); }

TEST(SamplingMeter, HasNoBiasForBlocksOfTheMean) {
  expect_no_bias("4096", std::vector<std::size_t>(2'000, 4096), 4096);
}

TEST(SamplingMeter, HasNoBiasForLargeBlocks) { expect_no_bias("1 MiB", std::vector<std::size_t>(200, 1 << 20), 4096); }

TEST(SamplingMeter, HasNoBiasForMixedSizes) {
  constexpr unsigned seed = 3;
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  std::vector<std::size_t> sizes(5000);
  for (std::size_t& each : sizes) each = std::size_t{1} << (random() % 18);
  expect_no_bias("mixed", sizes, 65'536);
}

// Large ones always come after the same small ones: a countdown that starts anew with each sample must not care.
TEST(SamplingMeter, HasNoBiasForAPattern) {
  std::vector<std::size_t> sizes;
  for (int i = 0; i < 2000; ++i) sizes.insert(sizes.end(), {8, 8, 8, 10'000, 8, 24});
  expect_no_bias("pattern", sizes, 10'048);
}

TEST(SamplingMeter, NeverChoosesABlockOfNoBytes) {
  const auto meter = std::make_unique<sampling_meter<threads::one>>(2, 1);
  for (int i = 0; i < 1000; ++i) ASSERT_FALSE(!meter->passes(0) && meter->choose(0));
  EXPECT_EQ(meter->count().allocations, 1000U);
  EXPECT_EQ(meter->count().handed_out, 0U);
}

// The counts are one with the countdown: read at any moment, they are what was counted, or a block less.
TEST(SamplingMeter, CountsWhatWasCountedAtEveryMoment) {
  constexpr std::size_t bytes = 10;
  constexpr std::size_t blocks = 50'000;
  const auto meter = std::make_unique<sampling_meter<threads::any>>(50, 9);
  std::atomic<std::size_t> begun{0};
  std::atomic<std::size_t> counted{0};
  std::thread writer([&] {
    for (std::size_t i = 0; i < blocks; ++i) {
      begun.store((i + 1) * bytes, std::memory_order_release);
      if (!meter->passes(bytes)) static_cast<void>(meter->choose(bytes));
      counted.store((i + 1) * bytes, std::memory_order_release);
    }
  });
  while (counted.load(std::memory_order_acquire) < blocks * bytes) {
    const std::size_t least = counted.load(std::memory_order_acquire);
    const std::size_t seen = meter->count().handed_out;
    const std::size_t most = begun.load(std::memory_order_acquire);
    if (seen < least || seen > most) {
      ADD_FAILURE() << seen << " is not between " << least << " and " << most;
      break;
    }
  }
  writer.join();
  EXPECT_EQ(meter->count().handed_out, blocks * bytes);
}

#ifdef STRATA_SCHEDULE

std::atomic<bool> half_drawn{false};
std::atomic<bool> goes_on{false};

// Who is stopped there may stay so for long: nobody waits for it.
TEST(SamplingMeter, CountsRightWhileAThreadIsStoppedInTheMiddleOfADraw) {
  const auto meter = std::make_unique<sampling_meter<threads::any>>(50, 9);
  constexpr std::size_t bytes = 1000;
  schedule = [](moment m) {
    if (m != moment::half_drawn || half_drawn) return;
    half_drawn = true;
    while (!goes_on) std::this_thread::yield();
  };
  std::thread drawing([&] {
    EXPECT_TRUE(meter->choose(bytes));
    EXPECT_TRUE(meter->choose(bytes));
  });
  while (!half_drawn) std::this_thread::yield();
  EXPECT_EQ(meter->count().handed_out, 0U);
  goes_on = true;
  drawing.join();
  schedule = nullptr;
  EXPECT_EQ(meter->count().handed_out, 2 * bytes);
}

// What is half drawn in a child of fork(), and whose thread it does not have, is whole with the next draw there.
TEST(SamplingMeter, IsMendedInAChildByTheNextDraw) {
  const auto meter = std::make_unique<sampling_meter<threads::one>>(50, 9);
  constexpr std::size_t bytes = 1000;
  static sampling_meter<threads::one>* in_child = nullptr;
  in_child = meter.get();
  EXPECT_TRUE(meter->choose(bytes));
  schedule = [](moment m) {
    if (m != moment::half_drawn) return;
    schedule = nullptr;
    if (::fork() != 0) return;
    const bool as_settled = in_child->count().handed_out == bytes;
    static_cast<void>(in_child->choose(bytes));
    ::_exit(as_settled && in_child->count().handed_out == 2 * bytes ? 0 : 1);
  };
  EXPECT_TRUE(meter->choose(bytes));
  int status = 0;
  EXPECT_GT(::wait(&status), 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(meter->count().handed_out, 2 * bytes);
}

#endif

TEST(SamplingMeter, GapsAreExponential) {
  constexpr std::uint64_t seed = 99;
  constexpr std::size_t mean = 1000;
  constexpr int samples = 10'000;
  const auto meter = std::make_unique<sampling_meter<threads::one>>(mean, seed);
  std::array<int, 5> longer{};  // than 0, 1, 2, 3, 4 means
  for (int i = 0; i < samples; ++i) {
    std::size_t gap = 1;
    while (meter->passes(1) || !meter->choose(1)) ++gap;
    for (std::size_t k = 0; k < longer.size(); ++k) longer[k] += gap > k * mean ? 1 : 0;
  }
  for (std::size_t k = 0; k < longer.size(); ++k) {
    const double p = std::exp(-static_cast<double>(k));
    EXPECT_NEAR(longer[k], samples * p, 4 * std::sqrt(samples * p * (1 - p)) + 1) << "seed " << seed << ", " << k;
  }
}

TEST(SamplingMeter, ChoosesTheSameAgain) {
  const std::vector<std::size_t> sizes(10'000, 100);
  const auto first = std::make_unique<sampling_meter<threads::one>>(5000, 7);
  const auto second = std::make_unique<sampling_meter<threads::one>>(5000, 7);
  const auto other = std::make_unique<sampling_meter<threads::one>>(5000, 8);
  std::vector<bool> a, b, c;
  for (const std::size_t bytes : sizes) {
    a.push_back(!first->passes(bytes) && first->choose(bytes));
    b.push_back(!second->passes(bytes) && second->choose(bytes));
    c.push_back(!other->passes(bytes) && other->choose(bytes));
  }
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
}

// More threads than have numbers: those without share an account, and nothing is lost.
TEST(SamplingMeter, CountsExactlyWhateverThreads) {
  constexpr std::size_t crowd = max_thread_number + 8;
  constexpr std::size_t calls = 200;
  const auto meter = std::make_unique<sampling_meter<threads::any>>(4096, 5);
  std::mutex all_there;
  std::vector<std::thread> threads;
  std::atomic<std::size_t> without{0};
  all_there.lock();
  for (std::size_t t = 0; t < crowd; ++t) {
    threads.emplace_back([&, t] {
      without += take_thread_number() == 0 ? 1 : 0;
      {
        const std::lock_guard wait(all_there);
      }  // each keeps its number until all have asked for one
      for (std::size_t i = 0; i < calls; ++i) {
        if (!meter->passes(t)) static_cast<void>(meter->choose(t));
        if (i % 2 == 0) meter->take_back(t);
      }
    });
  }
  all_there.unlock();
  for (std::thread& thread : threads) thread.join();
  const metered sum = meter->count();
  const std::size_t bytes = calls * crowd * (crowd - 1) / 2;
  EXPECT_EQ(sum.allocations, calls * crowd);
  EXPECT_EQ(sum.deallocations, calls * crowd / 2);
  EXPECT_EQ(sum.handed_out, bytes);
  EXPECT_EQ(sum.taken_back, bytes / 2);
  EXPECT_EQ(sum.live(), bytes / 2);
  meter->release();
  EXPECT_EQ(meter->count().live(), 0U);
  EXPECT_EQ(meter->count().blocks(), 0U);
}

TEST(SamplingMeter, UndoesWhatCameToNothing) {
  const auto meter = std::make_unique<sampling_meter<threads::one>>(2, 1);
  static_cast<void>(meter->choose(100));
  meter->undo(100);
  EXPECT_EQ(meter->count().allocations, 0U);
  EXPECT_EQ(meter->count().handed_out, 0U);
}

TEST(SamplingMeter, WeighsEveryBlockOnceWhenAllAreChosen) {
  EXPECT_EQ(weight_of(77, 1).blocks, sample_weight::unit);
  EXPECT_EQ(weight_of(77, 0).bytes, 77 * sample_weight::unit);
  EXPECT_EQ(weight_of(0, 1).bytes, 0U);
}

}  // namespace
}  // namespace strata::mem
