// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory_resource>
#include <span>
#include <string>
#include <string_view>
#include <vector>

module index_headers:memories.impl;

import :memories;

import strata.pmr;

namespace sp = strata::pmr;

namespace index_headers {
namespace {

template <class Resource>
void in_standard(const job& work) {
  Resource resource;
  work(resource, {});
}

/// A heap in the form that strata heapmap reads.
void dump(const auto& heap, std::FILE* out) {
  // Blocks lie side by side: where one does not begin at the end of the last, an arena begins. 32 bytes before its first
  // block are its own, and 8 behind its last.
  struct piece {
    std::uintptr_t start, end;
    std::vector<std::string> lines;
  };
  std::vector<piece> arenas;
  heap.walk([&](const auto& b) {
    const auto start = reinterpret_cast<std::uintptr_t>(b.start);
    if (arenas.empty() || arenas.back().end != start) arenas.push_back({start, start, {}});
    char line[96];
    std::snprintf(line, sizeof line, "%s 0x%zx %zu %zu\n",
                  !b.used     ? b.kept ? "kept" : "free"
                  : b.movable ? "movable"
                              : "used",
                  start + 8, b.bytes, b.asked);
    arenas.back().lines.emplace_back(line);
    arenas.back().end += b.bytes;
  });
  std::size_t blocks = 0;
  std::fprintf(out, "strata-heap 1 %s\n", heap.name());
  for (const piece& a : arenas) {
    std::fprintf(out, "arena 0x%zx %zu\n", a.start - 32, a.end + 8 - (a.start - 32));
    for (const std::string& line : a.lines) std::fputs(line.c_str(), out);
    blocks += a.lines.size();
  }
  std::fprintf(out, "end %zu %zu\n", arenas.size(), blocks);
}

/// In a stack of layers, source first.
template <class... Layers>
void in_stack(const job& work) {
  sp::stack layers{Layers{}...};
  work(layers, {.report = [&](std::FILE* out) { layers.write_report(out); }, .dump = nullptr});
}

void in_heap(const job& work) {
  sp::stack layers{sp::pages{}, sp::heap{.name = "index"}};
  work(layers, {.report = [&](std::FILE* out) { layers.write_report(out); },
                .dump = [&](std::FILE* out) { dump(layers.get<1>(), out); }});
}

constexpr memory kMemories[] = {
    {"new_delete", "operator new and delete", [](const job& work) { work(*std::pmr::new_delete_resource(), {}); }},
    {"std_pool", "std::pmr::unsynchronized_pool_resource", in_standard<std::pmr::unsynchronized_pool_resource>},
    {"std_sync_pool", "std::pmr::synchronized_pool_resource", in_standard<std::pmr::synchronized_pool_resource>},
    {"std_monotonic", "std::pmr::monotonic_buffer_resource, which frees nothing before its end",
     in_standard<std::pmr::monotonic_buffer_resource>},
    {"strata_slabs", "strata: pages, slabs", in_stack<sp::pages, sp::slabs>},
    {"strata_heap", "strata: pages, heap", in_heap},
    {"strata_sync_heap", "strata: pages, heap, synchronized", in_stack<sp::pages, sp::heap, sp::synchronized>},
};

}  // namespace

std::span<const memory> memories() noexcept { return kMemories; }

const memory* find_memory(std::string_view name) noexcept {
  for (const memory& candidate : kMemories) {
    if (candidate.name == name) return &candidate;
  }
  return nullptr;
}

const memory& heap_memory() noexcept { return *find_memory("strata_heap"); }

}  // namespace index_headers
