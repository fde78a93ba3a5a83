// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"

module strata.mem:thread_number.impl;

import :lock_watch;
import :mutex;
import :thread_number;

import strata.platform;

namespace strata::mem {

namespace {

enum class state : std::uint8_t {
  fresh,  ///< no thread had it yet
  in_use,
  free,
  lost,  ///< its thread is not in this process
};

// Never destroyed: threads end after static objects.
class number_list {
 public:
  static number_list& instance() noexcept {
    alignas(number_list) static std::byte place[sizeof(number_list)];
    static number_list* const made = ::new (place) number_list;
    return *made;
  }

  std::uint32_t take() noexcept {
    if (in_use_.load(std::memory_order_relaxed) == max_thread_number) return 0;  // spares many threads the lock
    const mem::lock held(lock_);
    for (std::uint32_t n = 1; n <= max_thread_number; ++n) {
      if (states_[n] == state::free || states_[n] == state::fresh) {
        states_[n] = state::in_use;
        in_use_.fetch_add(1, std::memory_order_relaxed);
        return n;
      }
    }
    return 0;
  }

  void give_back(std::uint32_t n) noexcept {
    const mem::lock held(lock_);
    states_[n] = state::free;
    in_use_.fetch_sub(1, std::memory_order_relaxed);
  }

  // Called back under the lock, which the analysis does not see.
  void hold(absl::FunctionRef<void(absl::FunctionRef<bool(std::uint32_t)>)> work) {
    const mem::lock held(lock_);
    work([this](std::uint32_t n) ABSL_NO_THREAD_SAFETY_ANALYSIS { return states_[n] == state::free; });
  }

 private:
  number_list() noexcept : hook_(rank - 1, {.child = in_child}, this), refused_(platform::at_fork(hook_)) {}

  // The lock is held since before the fork.
  static void in_child(void* list) noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS {
    auto& states = static_cast<number_list*>(list)->states_;
    for (std::uint32_t n = 1; n <= max_thread_number; ++n) {
      if (states[n] == state::in_use && n != number_of_this_thread) states[n] = state::lost;
    }
  }

  static constexpr int rank = lock_rank::thread_numbers;

  mutex lock_{rank, "of thread numbers"};  ///< nothing else is taken under it
  std::array<state, max_thread_number + 1> states_ ABSL_GUARDED_BY(lock_){};
  std::atomic<std::uint32_t> in_use_{0};  ///< or lost
  platform::fork_hook hook_;
  platform::os_error refused_;
};

void thread_ends(void* /*argument*/) noexcept {
  const std::uint32_t n = number_of_this_thread;
  number_of_this_thread = 0;
  number_list::instance().give_back(n);
}

constinit thread_local platform::thread_exit_hook end_of_this_thread{&thread_ends, nullptr};

}  // namespace

std::uint32_t take_thread_number() noexcept {
  if (number_of_this_thread != 0) return number_of_this_thread;
  const std::uint32_t n = number_list::instance().take();
  if (n == 0) return 0;
  if (platform::at_thread_exit(end_of_this_thread).failed()) {
    number_list::instance().give_back(n);
    return 0;
  }
  return number_of_this_thread = n;
}

void hold_thread_numbers(absl::FunctionRef<void(absl::FunctionRef<bool(std::uint32_t)>)> work) {
  number_list::instance().hold(work);
}

}  // namespace strata::mem
