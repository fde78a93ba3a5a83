// SPDX-License-Identifier: Apache-2.0
module;
#include <bit>
#include <cstddef>
#include <memory>

module bench:jemalloc.impl;

import :library;
import :malloc_resource;
import :peers;
import :subject;

namespace bench {
namespace {

const library& file() {
  static const library opened("libjemalloc.so.2");
  return opened;
}

/// MALLOCX_ALIGN of its header, which need not be installed.
int alignment_flag(std::size_t alignment) { return std::countr_zero(alignment); }

/// Its calls know no size of 0.
std::size_t some(std::size_t bytes) { return bytes + (bytes == 0 ? 1 : 0); }

struct calls {
  void* (*mallocx)(std::size_t, int) = file().function<void*(std::size_t, int)>("mallocx");
  void (*sdallocx)(void*, std::size_t, int) = file().function<void(void*, std::size_t, int)>("sdallocx");
  int (*mallctl)(const char*, void*, std::size_t*, void*,
                 std::size_t) = file().function<int(const char*, void*, std::size_t*, void*, std::size_t)>("mallctl");

  void* allocate(std::size_t bytes) const { return mallocx(bytes, 0); }
  void deallocate(void* p, std::size_t bytes) const { sdallocx(p, bytes, 0); }
  void* aligned_allocate(std::size_t bytes, std::size_t alignment) const {
    return mallocx(some(bytes), alignment_flag(alignment));
  }
  void aligned_deallocate(void* p, std::size_t bytes, std::size_t alignment) const {
    sdallocx(p, some(bytes), alignment_flag(alignment));
  }
  void trim() const {
    mallctl("thread.tcache.flush", nullptr, nullptr, nullptr, 0);
    mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0);  // 4096: all arenas
  }
};

}  // namespace

std::unique_ptr<subject> open_jemalloc() { return std::make_unique<malloc_subject<calls>>(); }

}  // namespace bench
