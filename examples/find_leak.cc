// SPDX-License-Identifier: Apache-2.0
// Where did the memory go? A cache that forgets to let go of what it replaces, in a stack with tracking{} on top: it says at
// its end who asked for what is still live, and writes a heap profile for pprof when asked to.
//
//   bazel run //examples:find_leak -- $PWD/heap.pb.gz && pprof -top heap.pb.gz
#include <cstddef>
#include <cstdio>
#include <memory>
#include <memory_resource>
#include <string>
#include <unordered_map>

#include "absl/debugging/symbolize.h"

import strata.pmr;

namespace sp = strata::pmr;

namespace {

struct picture {
  explicit picture(std::pmr::memory_resource* memory) : pixels(64 * 64, '\0', memory) {}
  std::pmr::string pixels;
};

class picture_cache {
 public:
  explicit picture_cache(std::pmr::memory_resource* memory) : memory_(memory), pictures_(memory) {}
  ~picture_cache() {
    for (const auto& [name, what] : pictures_) drop(what);
  }

  [[gnu::noinline]] void load(const char* name) {
    std::pmr::polymorphic_allocator<picture> allocator(memory_);
    picture* const fresh = allocator.allocate(1);
    std::construct_at(fresh, memory_);
    pictures_.insert_or_assign(std::pmr::string(name, memory_), fresh);  // the bug: whatever was there is lost
  }

 private:
  void drop(picture* what) {
    std::pmr::polymorphic_allocator<picture> allocator(memory_);
    std::destroy_at(what);
    allocator.deallocate(what, 1);
  }

  std::pmr::memory_resource* memory_;
  std::pmr::unordered_map<std::pmr::string, picture*> pictures_;
};

bool write_profile(const char* path, const sp::tracking_adaptor<sp::slab_resource<sp::page_resource>>& memory) {
  std::FILE* const file = std::fopen(path, "wb");
  if (file == nullptr) return false;
  const bool written = !memory.write_profile(file, {.functions = true}).failed();
  return std::fclose(file) == 0 && written;
}

}  // namespace

int main(int argc, char** argv) {
  absl::InitializeSymbolizer(argv[0]);  // so that functions have names

  // In a service: .sample_bytes = 512 << 10, and what it costs is not to be seen.
  sp::stack memory{sp::pages{}, sp::slabs{}, sp::tracking{.name = "pictures", .leak_stacks = 3}};
  {
    picture_cache cache(&memory);
    memory.top().push();
    for (int i = 0; i < 5; ++i) cache.load("sunrise");
    const auto loading = memory.top().pop();
    std::printf("five loads: %zu blocks, %td bytes more are live\n", loading.allocations, loading.live);
  }
  std::fflush(stdout);
  if (argc > 1 && !write_profile(argv[1], memory.top())) {
    std::fprintf(stderr, "%s: cannot be written\n", argv[1]);
    return 1;
  }
  return 0;  // here the stack is destroyed, and says what was forgotten
}
