// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory>

module bench:tbb.impl;

import :library;
import :malloc_resource;
import :peers;
import :subject;

namespace bench {
namespace {

const library& file() {
  static const library opened("libtbbmalloc.so.2");
  return opened;
}

struct calls {
  void* (*scalable_malloc)(std::size_t) = file().function<void*(std::size_t)>("scalable_malloc");
  void* (*scalable_aligned_malloc)(std::size_t, std::size_t) =
      file().function<void*(std::size_t, std::size_t)>("scalable_aligned_malloc");
  void (*scalable_free)(void*) = file().function<void(void*)>("scalable_free");
  void (*scalable_aligned_free)(void*) = file().function<void(void*)>("scalable_aligned_free");
  int (*command)(int, void*) = file().function<int(int, void*)>("scalable_allocation_command");

  void* allocate(std::size_t bytes) const { return scalable_malloc(bytes); }
  void* aligned_allocate(std::size_t bytes, std::size_t alignment) const {
    return scalable_aligned_malloc(bytes == 0 ? 1 : bytes, alignment);
  }
  void deallocate(void* p, std::size_t) const { scalable_free(p); }
  void aligned_deallocate(void* p, std::size_t, std::size_t) const { scalable_aligned_free(p); }
  void trim() const { command(0, nullptr); }  // TBBMALLOC_CLEAN_ALL_BUFFERS
};

}  // namespace

std::unique_ptr<subject> open_tbb() { return std::make_unique<malloc_subject<calls>>(); }

}  // namespace bench
