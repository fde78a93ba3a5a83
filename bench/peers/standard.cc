// SPDX-License-Identifier: Apache-2.0
module;
#include <malloc.h>

#include <memory>
#include <memory_resource>

module bench:standard.impl;

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

/// Pools know release(), which takes live blocks too, but no way to give back what is free.
template <class Pool>
class pool final : public subject {
 public:
  [[nodiscard]] std::pmr::memory_resource& memory() noexcept override { return pool_; }

 private:
  Pool pool_;
};

}  // namespace

std::unique_ptr<subject> open_glibc() { return std::make_unique<glibc>(); }

std::unique_ptr<subject> open_std_sync_pool() { return std::make_unique<pool<std::pmr::synchronized_pool_resource>>(); }

std::unique_ptr<subject> open_std_pool() { return std::make_unique<pool<std::pmr::unsynchronized_pool_resource>>(); }

}  // namespace bench
