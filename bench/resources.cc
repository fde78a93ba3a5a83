// SPDX-License-Identifier: Apache-2.0
// Strata's stacks beside their peers: the same workloads through the same memory_resource*, in one run, with ratios.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <memory_resource>
#include <string>
#include <thread>
#include <vector>

import bench;

namespace {

std::vector<bench::ratio_table::column> columns() {
  std::vector<bench::ratio_table::column> result;
  for (const bench::contender& c : bench::contenders()) result.push_back({c.name, c.peer && c.shareable});
  return result;
}

std::vector<std::string> rows() {
  std::vector<std::string> result;
  for (const bench::workload& w : bench::short_workloads()) result.emplace_back(w.name);
  return result;
}

/// What goes on: on a terminal a line that is rewritten, elsewhere a line now and then.
class progress_line {
 public:
  void show(const std::string& what) {
    ++shown_;
    if (terminal_) {
      std::fprintf(stderr, "\r%d: %s\033[K", shown_, what.c_str());
    } else if (shown_ % 25 == 0) {
      std::fprintf(stderr, "%d measurements\n", shown_);
    }
  }
  void clear() const {
    if (terminal_) std::fputs("\r\033[K", stderr);
  }

 private:
  bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  int shown_ = 0;
};

/// One repetition: sets up, warms up, and measures exactly the workload's number of operations.
void run(benchmark::State& state, const bench::workload& what, const bench::contender& who) {
  who.run([&](std::pmr::memory_resource& memory) {
    const auto load = what.make(&memory);
    load->run(what.operations / 10);
    const auto operations = static_cast<benchmark::IterationCount>(what.operations);
    while (state.KeepRunningBatch(operations)) load->run(what.operations);
  });
}

/// Collects what Google Benchmark measures, and prints it as a table at the end.
class table_reporter final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context& context) override {
    PrintBasicContext(&GetErrorStream(), context);
    return true;
  }

  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& r : runs) {
      if (r.run_type != Run::RT_Iteration) continue;
      const std::string name = r.run_name.function_name;
      const std::size_t slash = name.find('/');
      if (r.error_occurred) {
        std::fprintf(stderr, "%s: %s\n", name.c_str(), r.error_message.c_str());
      } else {
        measured_ = true;
        table_.add(name.substr(0, slash), name.substr(slash + 1), r.GetAdjustedCPUTime());
      }
    }
  }

  void Finalize() override {
    if (measured_) std::printf("%s\n", table_.text("ns an operation, ratio", 1).c_str());
  }

 private:
  bench::ratio_table table_{columns(), rows()};
  bool measured_ = false;
};

void print_footprints(progress_line& progress) {
  bench::ratio_table table(columns(), {"live", "refill"});
  for (const bench::contender& who : bench::contenders()) {
    progress.show(std::string("memory/") + who.name);
    const bench::footprint measured = bench::measure_footprint(who);
    table.add("live", who.name, measured.live);
    table.add("refill", who.name, measured.refill);
  }
  progress.clear();
  std::printf("%s\n", table.text("resident / asked, ratio", 2).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  // Repetitions of all benchmarks in random order, so that what the machine does meanwhile hits all alike. Flags given
  // by the user win.
  std::string interleaving = "--benchmark_enable_random_interleaving=true";
  std::string repetitions = "--benchmark_repetitions=5";
  std::vector<char*> arguments{argv[0], interleaving.data(), repetitions.data()};
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  int count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 1;

  progress_line progress;
  for (const bench::workload& what : bench::short_workloads()) {
    for (const bench::contender& who : bench::contenders()) {
      const std::string name = std::string(what.name) + "/" + who.name;
      benchmark::RegisterBenchmark(name.c_str(), [&, name](benchmark::State& state) {
        progress.show(name);
        run(state, what, who);
        progress.clear();
      })->Iterations(static_cast<benchmark::IterationCount>(what.operations));
    }
  }

  const std::string filter = benchmark::GetBenchmarkFilter();
  if (filter.empty() || filter == "all") print_footprints(progress);
  // A process that never had a second thread gets locks that do nothing.
  std::thread([] {}).join();
  table_reporter reporter;
  if (benchmark::RunSpecifiedBenchmarks(&reporter) == 0) return 0;
  for (const bench::contender& who : bench::contenders()) {
    std::printf("%-16s %s%s\n", who.name, who.what, who.shareable ? "" : " (for one thread)");
  }
  std::printf("Medians of processor time. Ratios are to the best peer that threads may share.\n");
  return 0;
}
