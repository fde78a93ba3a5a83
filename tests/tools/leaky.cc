// SPDX-License-Identifier: Apache-2.0
// Writes the call log of a debug_adaptor to the file named, leaving three blocks live in two places, for leaks_test.py.
#include <cstddef>
#include <cstdio>
#include <memory_resource>

import strata.pmr;

namespace sp = strata::pmr;

namespace {

[[gnu::noinline]] void* forgotten_session(std::pmr::memory_resource& memory) {
  void* const p = memory.allocate(100);
  __asm__ volatile("" : : "r"(p) : "memory");
  return p;
}

[[gnu::noinline]] void* forgotten_buffer(std::pmr::memory_resource& memory) {
  void* const p = memory.allocate(5000, 64);
  __asm__ volatile("" : : "r"(p) : "memory");
  return p;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::FILE* const log = std::fopen(argv[1], "w");
  if (log == nullptr) return 1;
  {
    sp::page_resource pages;
    sp::heap_resource heap(&pages);
    sp::debug_adaptor memory(&heap, {.name = "service memory",
                                     .flags = sp::debug_flags::logging,
                                     .log_depth = 8,
                                     .log = log,
                                     .when_misused = sp::on_misuse::count,
                                     .live_at_end_is_misuse = false});
#pragma clang loop unroll(disable)  // one place, also when optimised
    for (int i = 0; i < 2; ++i) (void)forgotten_session(memory);
    for (std::size_t i = 0; i < 100; ++i) memory.deallocate(memory.allocate(i), i);
    void* p = memory.allocate(10);
    p = memory.reallocate(p, 10, 5000);
    memory.deallocate(p, 5000);
    memory.deallocate(p, 5000);  // a second time: misuse, which changes nothing
    (void)forgotten_buffer(memory);
  }
  return std::fclose(log) == 0 ? 0 : 1;
}
