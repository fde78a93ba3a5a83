// SPDX-License-Identifier: Apache-2.0
module;
#include "absl/functional/function_ref.h"

export module strata.mem:sole_cache;

import :thread_cache;

/// The cache of a resource for one thread at a time: what :cache_registry is for many, without threads.
export namespace strata::mem {

class sole_cache {
 public:
  using retire = void (*)(void* argument, thread_cache* cache) noexcept;

  /// `hidden`: mine() says null although there is a cache.
  sole_cache(retire /*when_thread_ends*/, void* /*argument*/, bool hidden) noexcept : hidden_(hidden) {}
  sole_cache(const sole_cache&) = delete;
  sole_cache& operator=(const sole_cache&) = delete;

  [[nodiscard]] inline thread_cache* mine() const noexcept { return shown_; }
  [[nodiscard]] inline thread_cache* found() const noexcept { return cache_; }

  /// Pre: there is none.
  [[nodiscard]] inline bool adopt(thread_cache* cache) noexcept {
    cache_ = cache;
    shown_ = hidden_ ? nullptr : cache;
    return true;
  }

  inline thread_cache* detach_all() noexcept {
    thread_cache* const cache = cache_;
    cache_ = shown_ = nullptr;
    return cache;
  }

  inline void visit(absl::FunctionRef<void(const thread_cache&)> visitor) const {
    if (cache_ != nullptr) visitor(*cache_);
  }

  inline void hold(absl::FunctionRef<void(thread_cache* first)> work) const { work(cache_); }

  [[nodiscard]] static constexpr bool has_number() noexcept { return true; }

 private:
  thread_cache* shown_ = nullptr;
  thread_cache* cache_ = nullptr;
  const bool hidden_;
};

}  // namespace strata::mem
