// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory_resource>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

module index_headers:measurement.impl;

import :counting_resource;
import :index;
import :measurement;
import :memories;
import :source_file;

import process_usage;

namespace index_headers {
namespace {

/// Processor time, only while it runs.
class stopwatch {
 public:
  void resume() { started_ = process_usage::thread_cpu_ns(); }
  void pause() { total_ += process_usage::thread_cpu_ns() - started_; }
  [[nodiscard]] std::uint64_t total() const { return total_; }

 private:
  std::uint64_t started_ = 0;
  std::uint64_t total_ = 0;
};

absl::Status write_dump(const speaker& memory, const std::string& path) {
  if (!memory.dump) return absl::InternalError("this memory writes no dump");
  std::FILE* const out = std::fopen(path.c_str(), "w");
  if (out == nullptr) return absl::UnavailableError(absl::StrCat(path, ": ", std::strerror(errno)));
  memory.dump(out);
  const bool written = std::ferror(out) == 0;
  if (std::fclose(out) != 0 || !written) return absl::UnavailableError(absl::StrCat(path, ": cannot be written"));
  return absl::OkStatus();
}

std::string text_of(const std::function<void(std::FILE*)>& report) {
  if (!report) return {};
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* out = ::open_memstream(&text, &size);
  if (out == nullptr) return {};
  report(out);
  std::fclose(out);
  std::string result(text, size);
  std::free(text);
  return result;
}

void ask(const index& built, const std::vector<std::string>& queries, measurement& result) {
  result.files = built.files();
  result.identifiers = built.identifiers();
  result.places = built.places();
  result.digest = built.digest();
  result.answers.push_back(built.answer(built.most_widespread()));
  for (const std::string& query : queries) result.answers.push_back(built.answer(query));
}

struct field {
  std::string_view key;
  std::uint64_t measurement::* value;
};

constexpr field kFields[] = {
    {"build_ns", &measurement::build_ns},       {"destroy_ns", &measurement::destroy_ns},
    {"peak_bytes", &measurement::peak_bytes},   {"allocations", &measurement::allocations},
    {"asked_bytes", &measurement::asked_bytes}, {"files", &measurement::files},
    {"identifiers", &measurement::identifiers}, {"places", &measurement::places},
    {"digest", &measurement::digest},
};

}  // namespace

bool same_index(const measurement& a, const measurement& b) {
  return a.files == b.files && a.identifiers == b.identifiers && a.places == b.places && a.digest == b.digest &&
         a.answers == b.answers;
}

absl::StatusOr<measurement> measure(const work_order& order, const std::function<void(std::size_t)>& progress) {
  measurement result;
  source_reader reader(order.largest_file);
  absl::Status failed;
  stopwatch watch;
  const std::size_t step = std::max<std::size_t>(order.files.size() / 100, 1);
  const std::uint64_t before = process_usage::resident_bytes();

  const job work = [&](std::pmr::memory_resource& memory, const speaker& about) {
    std::optional<counting_resource> counter;
    if (order.how == mode::counting) counter.emplace(&memory);
    {
      index built(counter ? &*counter : &memory);
      for (std::size_t done = 0; done < order.files.size(); ++done) {
        watch.pause();
        if (done % step == 0) progress(done);
        const std::string& path = order.files[done];
        const absl::StatusOr<std::string_view> text = reader.read(path);
        watch.resume();
        if (!text.ok()) {
          failed = absl::AbortedError(absl::StrCat(path, ": changed while it was indexed: ", text.status().message()));
          return;
        }
        built.add(path, *text);
      }
      watch.pause();
      const std::uint64_t peak = process_usage::peak_resident_bytes();
      result.peak_bytes = peak > before ? peak - before : 0;
      result.build_ns = watch.total();
      ask(built, order.queries, result);
      result.report = text_of(about.report);
      if (order.how == mode::dumping) failed = write_dump(about, order.dump);
      watch.resume();
    }
    if (counter) {
      result.allocations = counter->allocations();
      result.asked_bytes = counter->peak_bytes();
      if (counter->live_bytes() != 0) {
        failed = absl::InternalError(absl::StrCat("the index kept ", counter->live_bytes(), " bytes"));
      }
    }
  };

  watch.resume();
  try {
    order.where->run(work);
  } catch (const std::bad_alloc& error) {
    failed = absl::ResourceExhaustedError(error.what());
  }
  watch.pause();
  if (!failed.ok()) return failed;
  result.destroy_ns = watch.total() - result.build_ns;
  return result;
}

void write_lines(const measurement& result, std::FILE* out) {
  for (const field& f : kFields) {
    std::fprintf(out, "%s %llu\n", std::string(f.key).c_str(), static_cast<unsigned long long>(result.*f.value));
  }
  for (const std::string& answer : result.answers) std::fprintf(out, "answer %s\n", absl::CEscape(answer).c_str());
  if (!result.report.empty()) std::fprintf(out, "report %s\n", absl::CEscape(result.report).c_str());
}

bool parse_line(std::string_view line, measurement& result) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return false;
  const std::string_view key = line.substr(0, space);
  const absl::string_view value(line.data() + space + 1, line.size() - space - 1);
  if (std::string text; (key == "answer" || key == "report") && absl::CUnescape(value, &text)) {
    if (key == "answer") result.answers.push_back(std::move(text));
    if (key == "report") result.report = std::move(text);
    return true;
  }
  for (const field& f : kFields) {
    if (key == f.key) return absl::SimpleAtoi(value, &(result.*f.value));
  }
  return false;
}

}  // namespace index_headers
