// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <new>
#include <thread>
#include <vector>

module bench:measure.impl;

import :contenders;
import :measure;
import :outcome;
import :subject;
import :workload;

import process_usage;

namespace bench {
namespace {

constexpr double kMostSeconds = 1;
constexpr std::uint64_t kParts = 20;  // between which the clock is looked at

std::uint64_t wall_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

struct stretch {
  std::uint64_t operations = 0;
  std::uint64_t ns = 0;
};

/// Runs these operations, or as many as there is time for.
stretch run(load& what, std::uint64_t operations, std::uint64_t most_ns, std::uint64_t (*clock)()) {
  stretch done;
  const std::uint64_t part = operations / kParts + 1;
  const std::uint64_t start = clock();
  while (done.operations < operations && done.ns < most_ns) {
    done.operations += what.run(part);
    done.ns = clock() - start;
  }
  return done;
}

double ns_per_operation(const workload& what, subject& where, double share) {
  const auto operations = static_cast<std::uint64_t>(static_cast<double>(what.operations) * share) + 1;
  const auto most_ns = static_cast<std::uint64_t>(kMostSeconds * share * 1e9);
  const auto clock = what.threads > 1 ? wall_ns : +[] { return process_usage::thread_cpu_ns(); };
  const auto load = what.make(&where.memory(), what.live);
  run(*load, operations / 10, most_ns / 10, clock);  // warms up
  const stretch done = run(*load, operations, most_ns, clock);
  return static_cast<double>(done.ns) / static_cast<double>(done.operations);
}

template <class Work>
outcome outcome_of(const Work& work) {
  try {
    return {outcome::kind::figures, work(), {}};
  } catch (const absent& e) {
    return {outcome::kind::absent, {}, e.what()};
  } catch (const cannot& e) {
    return {outcome::kind::cannot, {}, e.what()};
  } catch (const wrong& e) {
    return {outcome::kind::wrong, {}, e.what()};
  } catch (const std::exception& e) {
    return {outcome::kind::failed, {}, e.what()};
  }
}

}  // namespace

outcome measure(const workload& what, const contender& who, double share) {
  // A process that never had a second thread gets locks that do nothing.
  std::thread([] {}).join();
  return outcome_of([&]() -> std::vector<double> {
    const auto where = who.open();
    auto figures =
        what.make != nullptr
            ? std::vector<double>{ns_per_operation(what, *where, share)}
            : what.measure(*where, what, static_cast<std::uint64_t>(static_cast<double>(what.operations) * share));
    where->verify();
    return figures;
  });
}

outcome probe(const contender& who) {
  return outcome_of([&]() -> std::vector<double> {
    who.open();
    return {};
  });
}

}  // namespace bench
