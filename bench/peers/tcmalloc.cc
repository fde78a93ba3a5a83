// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory>

module bench:tcmalloc.impl;

import :library;
import :malloc_resource;
import :peers;
import :subject;

namespace bench {
namespace {

const library& file() {
  static const library opened("libtcmalloc_minimal.so.4");
  return opened;
}

/// tc_free_sized takes the size class from the size, which is not that of an over-aligned block.
struct calls {
  void* (*tc_malloc)(std::size_t) = file().function<void*(std::size_t)>("tc_malloc");
  void* (*tc_memalign)(std::size_t, std::size_t) = file().function<void*(std::size_t, std::size_t)>("tc_memalign");
  void (*tc_free_sized)(void*, std::size_t) = file().function<void(void*, std::size_t)>("tc_free_sized");
  void (*tc_free)(void*) = file().function<void(void*)>("tc_free");
  void (*mark_idle)() = file().function<void()>("MallocExtension_MarkThreadIdle");
  void (*release)() = file().function<void()>("MallocExtension_ReleaseFreeMemory");

  void* allocate(std::size_t bytes) const { return tc_malloc(bytes); }
  void* aligned_allocate(std::size_t bytes, std::size_t alignment) const { return tc_memalign(alignment, bytes); }
  void deallocate(void* p, std::size_t bytes) const { tc_free_sized(p, bytes); }
  void aligned_deallocate(void* p, std::size_t, std::size_t) const { tc_free(p); }
  void trim() const {
    mark_idle();  // empties this thread's cache
    release();
  }
};

}  // namespace

std::unique_ptr<subject> open_tcmalloc() { return std::make_unique<malloc_subject<calls>>(); }

}  // namespace bench
