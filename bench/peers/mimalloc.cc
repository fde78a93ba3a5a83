// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory>

module bench:mimalloc.impl;

import :library;
import :malloc_resource;
import :peers;
import :subject;

namespace bench {
namespace {

const library& file() {
  static const library opened("libmimalloc.so.2");
  return opened;
}

/// mi_free_size and mi_free_size_aligned are mi_free with one more jump.
struct calls {
  void* (*mi_malloc)(std::size_t) = file().function<void*(std::size_t)>("mi_malloc");
  void* (*mi_malloc_aligned)(std::size_t,
                             std::size_t) = file().function<void*(std::size_t, std::size_t)>("mi_malloc_aligned");
  void (*mi_free)(void*) = file().function<void(void*)>("mi_free");
  void (*mi_collect)(bool) = file().function<void(bool)>("mi_collect");

  void* allocate(std::size_t bytes) const { return mi_malloc(bytes); }
  void* aligned_allocate(std::size_t bytes, std::size_t alignment) const { return mi_malloc_aligned(bytes, alignment); }
  void deallocate(void* p, std::size_t) const { mi_free(p); }
  void aligned_deallocate(void* p, std::size_t, std::size_t) const { mi_free(p); }
  void trim() const { mi_collect(true); }
};

}  // namespace

std::unique_ptr<subject> open_mimalloc() { return std::make_unique<malloc_subject<calls>>(); }

}  // namespace bench
