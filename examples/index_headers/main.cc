// SPDX-License-Identifier: Apache-2.0
// Builds an inverted index of a tree of headers, once in each memory, and compares what that cost.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

import index_headers;

ABSL_FLAG(std::vector<std::string>, memory, {}, "Memories to compare, by name, separated by commas. All when empty.");
ABSL_FLAG(std::uint32_t, max_files, 0, "Index only the first so many headers. 0 means all.");
ABSL_FLAG(std::uint32_t, repetitions, 1, "Timed runs for each memory, taken in turns; the table shows medians.");
ABSL_FLAG(std::string, heap_dump, "",
          "A file for the heap of strata_heap with the index in it, from a run of its own; strata heapmap shows it.");
ABSL_FLAG(std::vector<std::string>, query,
          std::vector<std::string>({"size_t", "errno", "unique_ptr", "memory_resource"}),
          "Identifiers to look up, separated by commas.");

namespace {

constexpr int kNotUsable = 2;  // exit status when the arguments name nothing that could be indexed
constexpr std::size_t kSkippedShown = 10;

int usage_error(const std::string& why) {
  std::fprintf(stderr, "index_headers: %s\n", why.c_str());
  return kNotUsable;
}

std::string usage() {
  std::string text =
      "indexes every header of a tree (identifier -> file -> lines) in standard containers, once in each memory,\n"
      "and compares time and memory. Each run is a process of its own.\n\n"
      "  index_headers [flags] [directory]      the directory is /usr/include unless given\n\nmemories:\n";
  for (const index_headers::memory& m : index_headers::memories()) {
    absl::StrAppendFormat(&text, "  %-18s %s\n", m.name, m.what);
  }
  return text;
}

absl::StatusOr<std::vector<const index_headers::memory*>> chosen_memories() {
  std::vector<const index_headers::memory*> chosen;
  for (const std::string& name : absl::GetFlag(FLAGS_memory)) {
    const index_headers::memory* found = index_headers::find_memory(name);
    if (found == nullptr)
      return absl::NotFoundError(absl::StrCat("--memory: there is no \"", name, "\"; --help lists them"));
    chosen.push_back(found);
  }
  if (chosen.empty()) {
    for (const index_headers::memory& m : index_headers::memories()) chosen.push_back(&m);
  }
  return chosen;
}

/// Names are bytes, not necessarily text that a terminal should see.
std::string printable(std::string_view path) {
  return absl::Utf8SafeCEscape(absl::string_view(path.data(), path.size()));
}

/// Reads each file once: the page cache is warm, the largest is known, and what cannot be read is found before anything
/// is measured.
void read_once(index_headers::tree& tree, index_headers::work_order& order, index_headers::progress_line& progress) {
  index_headers::source_reader reader;
  std::uint64_t bytes = 0;
  for (std::string& path : tree.files) {
    const auto text = reader.read(path);
    if (!text.ok()) {
      tree.skipped.push_back({std::move(path), std::string(text.status().message())});
      continue;
    }
    bytes += text->size();
    order.largest_file = std::max(order.largest_file, text->size());
    order.files.push_back(std::move(path));
    progress.update(absl::StrCat("reading: ", index_headers::grouped(order.files.size()), " of ",
                                 index_headers::grouped(tree.files.size()), " headers"));
  }
  progress.keep(absl::StrFormat("%s headers, %.1f MiB%s", index_headers::grouped(order.files.size()),
                                static_cast<double>(bytes) / (1 << 20),
                                tree.links == 0 ? "" : absl::StrCat("; ", tree.links, " symbolic links not followed")));
  for (std::size_t i = 0; i < tree.skipped.size() && i < kSkippedShown; ++i) {
    progress.keep(absl::StrCat("skipped ", printable(tree.skipped[i].path), ": ", tree.skipped[i].why));
  }
  if (tree.skipped.size() > kSkippedShown) {
    progress.keep(absl::StrCat("skipped ", tree.skipped.size() - kSkippedShown, " more"));
  }
}

/// One run in a process of its own, with its progress. When it fails, the reason has been printed.
absl::StatusOr<index_headers::measurement> run(index_headers::work_order& order, const std::string& what,
                                               index_headers::progress_line& progress) {
  const std::string title = absl::StrCat(order.where->name, ", ", what);
  auto result = index_headers::measure_in_child(order, [&](std::size_t done) {
    progress.update(absl::StrCat(title, ": ", index_headers::grouped(done), " of ",
                                 index_headers::grouped(order.files.size()), " headers"));
  });
  if (!result.ok()) {
    progress.keep(absl::StrCat(title, ": ", printable(std::string(result.status().message()))));
  } else if (order.how == index_headers::mode::timing) {
    progress.keep(
        absl::StrFormat("%s: %.3f s", title, static_cast<double>(result->build_ns + result->destroy_ns) / 1e9));
  }
  return result;
}

/// Counts once, then times every memory in turns. False, and the reason printed, when a run failed or an index
/// differed.
bool compare(index_headers::work_order& order, index_headers::comparison& all, std::uint32_t repetitions,
             index_headers::progress_line& progress) {
  order.where = all.rows.front().where;
  order.how = index_headers::mode::counting;
  auto counted = run(order, "counting", progress);
  if (!counted.ok()) return false;
  all.counted = *std::move(counted);

  order.how = index_headers::mode::timing;
  for (std::uint32_t round = 1; round <= repetitions; ++round) {
    for (index_headers::row& row : all.rows) {
      order.where = row.where;
      auto timed = run(order, absl::StrCat("round ", round, " of ", repetitions), progress);
      if (!timed.ok()) return false;
      if (!index_headers::same_index(*timed, all.counted)) {
        progress.keep(absl::StrFormat("the index in %s is not the same: digest %016x, not %016x", row.where->name,
                                      timed->digest, all.counted.digest));
        return false;
      }
      row.timed.push_back(*std::move(timed));
    }
  }
  return true;
}

/// Writes what --heap_dump wants, if it does. False, and the reason printed, when that failed.
bool dump(index_headers::work_order& order, index_headers::progress_line& progress) {
  order.dump = absl::GetFlag(FLAGS_heap_dump);
  if (order.dump.empty()) return true;
  order.where = &index_headers::heap_memory();
  order.how = index_headers::mode::dumping;
  if (!run(order, "dumping", progress).ok()) return false;
  std::printf("\n%s: the heap of %s, with the index in it\n", printable(order.dump).c_str(), order.where->name);
  return true;
}

void print(const index_headers::comparison& all) {
  const index_headers::measurement& counted = all.counted;
  std::printf("\n%s files, %s identifiers, %s places; digest %016llx in every memory\n",
              index_headers::grouped(counted.files).c_str(), index_headers::grouped(counted.identifiers).c_str(),
              index_headers::grouped(counted.places).c_str(), static_cast<unsigned long long>(counted.digest));
  for (const std::string& answer : counted.answers) std::printf("  %s\n", printable(answer).c_str());
  std::printf("\n%s", index_headers::table(all).c_str());
  std::printf(
      "\ntime: processor time of indexing and tearing down, without reading files. peak: growth of the resident set.\n"
      "allocations: what the containers ask of any memory, counted in a run of its own; at most %.1f MiB were in "
      "use.\n",
      static_cast<double>(counted.asked_bytes) / (1 << 20));
  for (const index_headers::row& row : all.rows) {
    if (row.timed.back().report.empty()) continue;
    std::printf("\n%s (%s), with the index in it:\n%s", row.where->name, row.where->what,
                row.timed.back().report.c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (index_headers::is_child(argc, argv)) return index_headers::child_main(argc, argv);

  absl::FlagsUsageConfig config;
  config.contains_help_flags = [](absl::string_view file) { return absl::StrContains(file, "index_headers/"); };
  absl::SetFlagsUsageConfig(config);
  absl::SetProgramUsageMessage(usage());
  const std::vector<char*> arguments = absl::ParseCommandLine(argc, argv);
  if (arguments.size() > 2) return usage_error("one directory, please; --help says more");
  const auto memories = chosen_memories();
  if (!memories.ok()) return usage_error(std::string(memories.status().message()));
  const std::uint32_t repetitions = absl::GetFlag(FLAGS_repetitions);
  if (repetitions == 0) return usage_error("--repetitions: at least 1");

  const std::string root = arguments.size() == 2 ? arguments[1] : "/usr/include";
  index_headers::progress_line progress(stderr);
  auto tree = index_headers::scan(root, [&](std::size_t found) {
    progress.update(absl::StrCat("listing: ", index_headers::grouped(found), " headers"));
  });
  if (!tree.ok()) return usage_error(printable(std::string(tree.status().message())));
  if (const std::uint32_t most = absl::GetFlag(FLAGS_max_files); most != 0 && most < tree->files.size())
    tree->files.resize(most);

  index_headers::work_order order;
  order.queries = absl::GetFlag(FLAGS_query);
  read_once(*tree, order, progress);
  if (order.files.empty()) return usage_error(absl::StrCat(printable(root), ": no header in this tree can be read"));

  index_headers::comparison all;
  for (const index_headers::memory* m : *memories) all.rows.push_back({m, {}});
  if (!compare(order, all, repetitions, progress)) return EXIT_FAILURE;
  print(all);
  return dump(order, progress) ? EXIT_SUCCESS : EXIT_FAILURE;
}
