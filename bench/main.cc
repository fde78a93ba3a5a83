// SPDX-License-Identifier: Apache-2.0
// Strata's stacks beside their peers: the same workloads through the same memory_resource*, with ratios. A process of
// its own makes each measurement: this program again, called `resources measure workload contender share`.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <random>
#include <regex>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/str_format.h"

import bench;

ABSL_FLAG(std::string, workload, "", "regular expression: only workloads in whose name it is found");
ABSL_FLAG(std::string, contender, "", "regular expression: only contenders in whose name it is found");
ABSL_FLAG(bool, mpbench, false, "the phases and holes of mpbench, and its contenders, instead of everything else");
ABSL_FLAG(bool, shadow, false, "what shadow pages cost: their workloads and contenders, instead of everything else");
ABSL_FLAG(int, threads, 0, "mpbench runs in 1 to so many threads; as many as there are processors, from 4 to 8");
ABSL_FLAG(bool, full, false, "nine rounds of full length, instead of the short form");
ABSL_FLAG(bool, quick, false, "one round of a hundredth of the operations: whether it works, not how fast");
ABSL_FLAG(int, rounds, 0, "how often each measurement is made; the median counts");
ABSL_FLAG(double, share, 0, "of the full number of operations in a measurement");
ABSL_FLAG(std::uint64_t, seed, 0, "of the order of contenders; chosen by chance and printed");
ABSL_FLAG(std::string, json, "", "file for everything that was measured");
ABSL_FLAG(std::string, svg, "", "file for a chart of the ratios");
ABSL_FLAG(bool, list, false, "only print the names of workloads and contenders");

namespace {

constexpr const char* kSelf = "/proc/self/exe";

/// The child's part.
int measure_here(const std::vector<std::string>& arguments) {
  const bench::workload* const what = bench::find_workload(arguments[0]);
  const bench::contender* const who = bench::find_contender(arguments[1]);
  if (who == nullptr || (what == nullptr && arguments[0] != "probe")) {
    std::fprintf(stderr, "no such workload or contender: %s %s\n", arguments[0].c_str(), arguments[1].c_str());
    return 2;
  }
  const bench::outcome result =
      what == nullptr ? bench::probe(*who) : bench::measure(*what, *who, std::strtod(arguments[2].c_str(), nullptr));
  std::fputs(bench::to_line(result).c_str(), stdout);
  return 0;
}

template <class Item>
std::vector<const Item*> pointers(std::span<const Item> items) {
  std::vector<const Item*> result;
  for (const Item& item : items) result.push_back(&item);
  return result;
}

/// Throws when that is no number of threads.
unsigned threads_from_flags() {
  const int asked = absl::GetFlag(FLAGS_threads);
  if (asked == 0) return std::clamp(std::thread::hardware_concurrency(), 4U, 8U);
  if (asked < 0 || asked > static_cast<int>(bench::mpbench_most_threads)) {
    throw std::runtime_error(absl::StrFormat("--threads is from 1 to %u", bench::mpbench_most_threads));
  }
  return static_cast<unsigned>(asked);
}

std::vector<const bench::workload*> all_workloads() {
  if (absl::GetFlag(FLAGS_shadow)) return pointers(bench::shadow_workloads());
  return absl::GetFlag(FLAGS_mpbench) ? bench::mpbench_workloads(threads_from_flags()) : pointers(bench::workloads());
}

std::vector<const bench::contender*> all_contenders() {
  if (absl::GetFlag(FLAGS_shadow)) return pointers(bench::shadow_contenders());
  return absl::GetFlag(FLAGS_mpbench) ? bench::mpbench_contenders() : pointers(bench::contenders());
}

template <class Item>
std::vector<const Item*> chosen(std::vector<const Item*> among, const std::string& expression) {
  const std::regex wanted(expression);
  std::erase_if(among, [&](const Item* item) { return !std::regex_search(item->name, wanted); });
  return among;
}

bench::plan plan_from_flags() {
  const auto [rounds, share] = absl::GetFlag(FLAGS_full)    ? std::pair(9, 1.0)
                               : absl::GetFlag(FLAGS_quick) ? std::pair(1, 0.01)
                                                            : std::pair(4, 0.1);
  bench::plan plan{chosen(all_workloads(), absl::GetFlag(FLAGS_workload)),
                   chosen(all_contenders(), absl::GetFlag(FLAGS_contender)), rounds, share, absl::GetFlag(FLAGS_seed)};
  if (absl::GetFlag(FLAGS_rounds) > 0) plan.rounds = absl::GetFlag(FLAGS_rounds);
  if (absl::GetFlag(FLAGS_share) > 0) plan.share = absl::GetFlag(FLAGS_share);
  if (plan.seed == 0) plan.seed = std::random_device()();
  return plan;
}

/// What goes on, on standard error: on a terminal a line that is rewritten, elsewhere a line now and then.
class progress_line {
 public:
  void show(const std::string& what) {
    ++shown_;
    if (terminal_) {
      std::fprintf(stderr, "\r%d: %s\033[K", shown_, what.c_str());
    } else if (shown_ % 100 == 0) {
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

void list_names() {
  for (const bench::workload* w : all_workloads()) std::printf("%-16s %s\n", w->name, w->what);
  std::printf("\n");
  for (const bench::contender* c : all_contenders()) std::printf("%-16s %s\n", c->name, c->what);
}

/// Throws when it cannot.
void write_file(const std::string& path, const std::string& text) {
  if (path.empty()) return;
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path);
}

bench::campaign_result run_all(const bench::plan& plan) {
  progress_line progress;
  auto result = bench::run_campaign(plan, [&](const bench::workload* what, const bench::contender& who) {
    const std::string name = what == nullptr ? "probe" : what->name;
    progress.show(name + " " + who.name);
    return bench::run_child({kSelf, "measure", name, who.name, std::to_string(plan.share)});
  });
  progress.clear();
  return result;
}

void print_tables(const bench::comparison& figures) {
  if (absl::GetFlag(FLAGS_shadow)) {
    constexpr std::string_view references[] = {"plain", "published"};
    std::printf("\nFigures, and what they are of others: less is better.\n%s",
                bench::reference_table(figures, references, bench::shadow_goals()).c_str());
    return;
  }
  std::printf("\nFigures, and ratios to the best peer that threads may share: less is better.\n%s\nPeers\n%s",
              bench::summary_table(figures, absl::GetFlag(FLAGS_mpbench) ? "" : "slabs").c_str(),
              bench::peer_table(figures).c_str());
}

int run() {
  const bench::plan plan = plan_from_flags();
  bench::run_facts facts{
      plan.seed, plan.rounds, plan.share, 0, bench::processor_name(), std::thread::hardware_concurrency()};
  const std::string headline = absl::StrFormat("%d rounds, %g of the operations, on %u of %s", facts.rounds,
                                               facts.share, facts.processors, facts.processor);
  std::printf("seed %llu, %s\n", static_cast<unsigned long long>(facts.seed), headline.c_str());
  std::fflush(stdout);
  const auto start = std::chrono::steady_clock::now();
  const bench::campaign_result result = run_all(plan);
  facts.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (const std::string& sentence : result.left_out) std::printf("%s\n", sentence.c_str());
  print_tables(result.figures);
  std::printf("\n%.0f seconds\n", facts.seconds);
  write_file(absl::GetFlag(FLAGS_json), bench::json_document(result.figures, facts, result.left_out));
  write_file(absl::GetFlag(FLAGS_svg), bench::svg_chart(result.figures, headline));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 5 && std::string_view(argv[1]) == "measure") return measure_here({argv[2], argv[3], argv[4]});
  absl::SetProgramUsageMessage("measures Strata's stacks and their peers; see bench/README.md");
  if (absl::ParseCommandLine(argc, argv).size() > 1) {
    std::fputs("only flags are known, see --help\n", stderr);
    return 2;
  }
  try {
    if (!absl::GetFlag(FLAGS_list)) return run();
    list_names();
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
