// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <new>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"

module strata.mem:cache_registry.impl;

import :cache_registry;
import :list;
import :lock_watch;
import :mutex;
import :schedule;
import :thread_cache;

import strata.platform;

namespace strata::mem {

// Everything the registry's lock guards. Never destroyed: threads end after static objects.
class cache_list {
 public:
  mutex lock{registry_rank, "of the cache registry"};
  std::array<cache_owner*, cache_owner::max_owners + 1> owners ABSL_GUARDED_BY(lock){};

  static cache_list& instance() noexcept {
    alignas(cache_list) static std::byte place[sizeof(cache_list)];
    static cache_list* const made = ::new (place) cache_list;
    return *made;
  }

  std::size_t take_number(cache_owner* owner) noexcept {
    const mem::lock held(lock);
    for (std::size_t n = 1; n < owners.size(); ++n) {
      if (owners[n] == nullptr) {
        owners[n] = owner;
        return n;
      }
    }
    return 0;
  }

  void give_number(std::size_t number) noexcept {
    const mem::lock held(lock);
    if (number != 0) owners[number] = nullptr;
  }

  static void thread_ends(void* argument) noexcept;

 private:
  cache_list() noexcept : hook_(registry_rank - 1, {.child = in_child}, this), refused_(platform::at_fork(hook_)) {}

  static void in_child(void* list) noexcept;

  static constexpr int registry_rank = lock_rank::registry;  // above the locks of owners: taken before them

  platform::fork_hook hook_;
  platform::os_error refused_;
};

namespace {

constinit thread_local platform::thread_exit_hook end_of_this_thread{&cache_list::thread_ends, nullptr};

cache_owner* owner_of(const thread_cache* cache) noexcept { return static_cast<cache_owner*>(cache->owner); }

}  // namespace

void cache_list::thread_ends(void* /*argument*/) noexcept {
  reached(moment::thread_ending);
  const mem::lock held(instance().lock);
  for (thread_cache*& place : caches_of_this_thread) {
    if (thread_cache* const cache = place; cache != nullptr) {
      cache_owner* const owner = owner_of(cache);
      place = nullptr;
      unlink(owner->caches_, cache);
      owner->retire_(owner->argument_, cache);
    }
  }
}

// The registry's lock is held since before the fork. Tables of threads that are not here may be anything by now.
void cache_list::in_child(void* list) noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS {
  for (const cache_owner* owner : static_cast<cache_list*>(list)->owners) {
    if (owner == nullptr) continue;
    for (thread_cache* cache = owner->caches_; cache != nullptr; cache = cache->next) {
      if (cache->home != &caches_of_this_thread[owner->number_]) cache->home = nullptr;
    }
  }
}

cache_owner::cache_owner(retire when_thread_ends, void* argument, bool hidden) noexcept
    : retire_(when_thread_ends),
      argument_(argument),
      number_(cache_list::instance().take_number(this)),
      shown_(hidden ? 0 : number_) {}

cache_owner::~cache_owner() { cache_list::instance().give_number(number_); }

bool cache_owner::adopt(thread_cache* cache) noexcept {
  if (number_ == 0 || platform::at_thread_exit(end_of_this_thread).failed()) return false;
  cache->owner = this;
  cache->home = &caches_of_this_thread[number_];
  const lock held(cache_list::instance().lock);
  link_front(caches_, cache);
  *cache->home = cache;
  return true;
}

thread_cache* cache_owner::detach_all() noexcept {
  reached(moment::owner_ending);
  const lock held(cache_list::instance().lock);
  for (thread_cache* cache = caches_; cache != nullptr; cache = cache->next) {
    if (cache->home != nullptr) *cache->home = nullptr;
  }
  thread_cache* const all = caches_;
  caches_ = nullptr;
  return all;
}

void cache_owner::visit(absl::FunctionRef<void(const thread_cache&)> visitor) const {
  const lock held(cache_list::instance().lock);
  for (const thread_cache* cache = caches_; cache != nullptr; cache = cache->next) visitor(*cache);
}

void cache_owner::hold(absl::FunctionRef<void(thread_cache*)> work) const {
  const lock held(cache_list::instance().lock);
  work(caches_);
}

}  // namespace strata::mem
