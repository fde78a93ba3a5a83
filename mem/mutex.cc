// SPDX-License-Identifier: Apache-2.0
module;
#include <mutex>

module strata.mem:mutex.impl;

import :lock_watch;
import :mutex;

import strata.platform;

namespace strata::mem {

mutex::mutex(int rank, const char* name, lock_reach reach) noexcept
    : watch_(name, rank, reach),
      hook_(rank, {.prepare = take, .parent = give, .child = give}, this),
      refused_(platform::at_fork(hook_)) {}

mutex::~mutex() { platform::cancel(hook_); }

// A fork locks here and unlocks in another call, on either side.
void mutex::take(void* m) noexcept {
  auto* const self = static_cast<mutex*>(m);
  self->watch_.before_fork();
  self->mutex_.lock();
}

void mutex::give(void* m) noexcept { static_cast<mutex*>(m)->mutex_.unlock(); }

}  // namespace strata::mem
