// SPDX-License-Identifier: Apache-2.0
module;
#include <malloc.h>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <memory_resource>

module bench:standard.impl;

import :malloc_resource;
import :peers;
import :subject;

namespace bench {
namespace {

/// operator new, which is malloc or aligned_alloc.
class glibc final : public subject {
 public:
  [[nodiscard]] std::pmr::memory_resource& memory() noexcept override { return *std::pmr::new_delete_resource(); }
  void trim() noexcept override { ::malloc_trim(0); }
};

/// malloc itself.
struct calls {
  void* allocate(std::size_t bytes) const { return std::malloc(bytes); }
  void deallocate(void* p, std::size_t) const { std::free(p); }
  void* aligned_allocate(std::size_t bytes, std::size_t alignment) const { return ::memalign(alignment, bytes); }
  void aligned_deallocate(void* p, std::size_t, std::size_t) const { std::free(p); }
  void trim() const { ::malloc_trim(0); }
};

/// Pools know release(), which takes live blocks too, but no way to give back what is free.
template <class Pool>
class pool final : public subject {
 public:
  [[nodiscard]] std::pmr::memory_resource& memory() noexcept override { return pool_; }

 private:
  Pool pool_;
};

/// What the standard library has for memory taken once: pools over a buffer, of which nothing comes back to it. The pool
/// asks it under its own lock.
class segment final : public subject {
 public:
  [[nodiscard]] std::pmr::memory_resource& memory() noexcept override { return pool_; }
  [[nodiscard]] bool in_segment() const noexcept override { return true; }

 private:
  std::unique_ptr<std::byte[]> bytes_ = std::make_unique_for_overwrite<std::byte[]>(segment_bytes);
  std::pmr::monotonic_buffer_resource buffer_{bytes_.get(), segment_bytes, std::pmr::null_memory_resource()};
  std::pmr::synchronized_pool_resource pool_{&buffer_};
};

}  // namespace

std::unique_ptr<subject> open_glibc() { return std::make_unique<glibc>(); }

std::unique_ptr<subject> open_malloc() { return std::make_unique<malloc_subject<calls>>(); }

std::unique_ptr<subject> open_std_segment() { return std::make_unique<segment>(); }

std::unique_ptr<subject> open_std_sync_pool() { return std::make_unique<pool<std::pmr::synchronized_pool_resource>>(); }

std::unique_ptr<subject> open_std_pool() { return std::make_unique<pool<std::pmr::unsynchronized_pool_resource>>(); }

}  // namespace bench
