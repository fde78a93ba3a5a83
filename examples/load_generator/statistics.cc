// SPDX-License-Identifier: Apache-2.0
module;
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <map>
#include <memory_resource>
#include <string>
#include <string_view>
#include <utility>

module load_generator:statistics.impl;

import :statistics;

namespace load_generator {

void statistics::asked(std::size_t bytes, bool got, clock::duration took) {
  answers& row = sizes_[bytes];
  ++(got ? row.got : row.refused);
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(took).count();
  ++row.times[static_cast<unsigned>(std::bit_width(static_cast<std::uint64_t>(ns)))];
}

void statistics::note(std::string_view event) {
  events_.emplace_back(std::chrono::duration<double>(clock::now() - begin_).count(), event);
}

void statistics::print(std::FILE* out) const {
  std::fprintf(out, "%10s %8s %8s   %s\n", "bytes", "got", "refused",
               "answers in fewer than so many ns: how many of them");
  for (const auto& [bytes, row] : sizes_) {
    std::fprintf(out, "%10zu %8zu %8zu  ", bytes, row.got, row.refused);
    for (const auto& [width, count] : row.times) {
      std::fprintf(out, " %llu:%zu", 1ULL << width, count);
    }
    std::fprintf(out, "\n");
  }
  for (const auto& [seconds, event] : events_) std::fprintf(out, "%9.3f s  %s\n", seconds, event.c_str());
}

}  // namespace load_generator
