// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory>
#include <memory_resource>
#include <string>

module bench:boost_container.impl;

import :library;
import :malloc_resource;
import :peers;
import :subject;

namespace bench {
namespace {

const library& file() {
  static const library opened("libboost_container.so.1.74.0");
  return opened;
}

/// A pool of Boost.Container by its exported members, without its headers: constructed in a buffer larger than it is,
/// and called by name rather than through its virtual table. It aligns to 16, whatever it is asked for.
class pool final : public std::pmr::memory_resource {
 public:
  /// \param mangled  the class, as symbols spell it
  explicit pool(const std::string& mangled)
      : allocate_(file().function<void*(void*, std::size_t, std::size_t)>(member(mangled, "11do_allocateEmm").c_str())),
        deallocate_(file().function<void(void*, void*, std::size_t, std::size_t)>(
            member(mangled, "13do_deallocateEPvmm").c_str())),
        destroy_(file().function<void(void*)>(member(mangled, "D1Ev").c_str())) {
    file().function<void(void*)>(member(mangled, "C1Ev").c_str())(object_);
  }
  ~pool() override { destroy_(object_); }

 private:
  static std::string member(const std::string& mangled, const char* name) {
    return "_ZN5boost9container3pmr" + mangled + name;
  }

  void* do_allocate(std::size_t bytes, std::size_t alignment) override { return allocate_(object_, bytes, alignment); }
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    deallocate_(object_, p, bytes, alignment);
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  void* (*allocate_)(void*, std::size_t, std::size_t);
  void (*deallocate_)(void*, void*, std::size_t, std::size_t);
  void (*destroy_)(void*);
  alignas(64) std::byte object_[1024];  // 72 bytes, 112 with the mutex
};

class boost_pool final : public subject {
 public:
  explicit boost_pool(const char* mangled) : pool_(mangled) {}
  [[nodiscard]] std::pmr::memory_resource& memory() noexcept override { return pool_; }

 private:
  pool pool_;
};

/// Doug Lea's malloc 2.8.6, which Boost.Container carries along.
struct dlmalloc {
  void* (*malloc)(std::size_t) = file().function<void*(std::size_t)>("_ZN5boost9container15dlmalloc_mallocEm");
  void* (*memalign)(std::size_t, std::size_t) =
      file().function<void*(std::size_t, std::size_t)>("_ZN5boost9container17dlmalloc_memalignEmm");
  void (*free)(void*) = file().function<void(void*)>("_ZN5boost9container13dlmalloc_freeEPv");
  int (*release)(std::size_t) = file().function<int(std::size_t)>("_ZN5boost9container13dlmalloc_trimEm");

  void* allocate(std::size_t bytes) const { return malloc(bytes); }
  void* aligned_allocate(std::size_t bytes, std::size_t alignment) const { return memalign(bytes, alignment); }
  void deallocate(void* p, std::size_t) const { free(p); }
  void aligned_deallocate(void* p, std::size_t, std::size_t) const { free(p); }
  void trim() const { release(0); }
};

}  // namespace

std::unique_ptr<subject> open_boost_dlmalloc() { return std::make_unique<malloc_subject<dlmalloc>>(); }

std::unique_ptr<subject> open_boost_sync_pool() { return std::make_unique<boost_pool>("26synchronized_pool_resource"); }

std::unique_ptr<subject> open_boost_pool() { return std::make_unique<boost_pool>("28unsynchronized_pool_resource"); }

}  // namespace bench
