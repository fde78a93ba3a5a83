// SPDX-License-Identifier: Apache-2.0
// Writes heap profiles into the directory named, and on standard output, for each, the figures that it has to add up to;
// for profile_readers_test.py.
#include <cstddef>
#include <cstdio>
#include <memory_resource>
#include <span>
#include <string>
#include <vector>

import strata.pmr;

namespace sp = strata::pmr;

namespace {

[[gnu::noinline]] void* keep_session(std::pmr::memory_resource& memory, std::size_t bytes) {
  void* const p = memory.allocate(bytes);
  __asm__ volatile("" : : "r"(p) : "memory");
  return p;
}

[[gnu::noinline]] void use_buffer(std::pmr::memory_resource& memory, std::size_t bytes) {
  memory.deallocate(memory.allocate(bytes), bytes);
  __asm__ volatile("" : : : "memory");
}

void work(std::pmr::memory_resource& memory) {
#pragma clang loop unroll(disable)  // one place, also when optimised
  for (std::size_t i = 0; i < 200; ++i) static_cast<void>(keep_session(memory, 10 + i));
#pragma clang loop unroll(disable)
  for (std::size_t i = 0; i < 300; ++i) use_buffer(memory, 1000);
}

bool write(const std::string& path, std::span<const sp::profile_source* const> sources, bool functions) {
  std::FILE* const file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return false;
  const bool written = !sp::write_heap_profile(file, sources, {.functions = functions}).failed();
  return std::fclose(file) == 0 && written;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string here = argv[1];
  sp::stack exact{sp::pages{}, sp::heap{}, sp::tracking{.name = "track", .resource = "orders", .leaks_at_end = false}};
  sp::stack sampled{sp::pages{}, sp::slabs{},
                    sp::tracking{.name = "sessions", .sample_bytes = 5000, .leaks_at_end = false, .seed = 12}};
  work(exact);
  work(sampled);
  const sp::profile_source* const both[] = {&exact.top(), &sampled.top()};
  if (!write(here + "/exact.pb.gz", {both, 1}, true)) return 1;
  if (!write(here + "/sampled.pb.gz", {both + 1, 1}, false)) return 1;
  if (!write(here + "/both.pb.gz", both, false)) return 1;
  for (const sp::profile_source* const each : both) {
    sp::profiled_place sum;
    for (std::size_t i = 0; i < each->places(); ++i) {
      const sp::profiled_place place = each->place(i);
      sum.allocations += place.allocations;
      sum.allocated += place.allocated;
      sum.live_blocks += place.live_blocks;
      sum.live += place.live;
    }
    std::printf("%zu %zu %zu %zu\n", sum.allocations, sum.allocated, sum.live_blocks, sum.live);
  }
  const sp::statistics figures = exact.stats();
  std::printf("%zu %zu %zu\n", figures.allocations, figures.live_blocks, figures.live);
  return 0;
}
