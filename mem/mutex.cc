// SPDX-License-Identifier: Apache-2.0
module;
#include <mutex>

#include "absl/base/thread_annotations.h"

module strata.mem:mutex.impl;

import :mutex;

import strata.platform;

namespace strata::mem {

namespace {

// A fork locks here and unlocks in another call, on either side: no scope for the analysis to see.
void take(void* m) noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS { static_cast<mutex*>(m)->lock(); }
void give(void* m) noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS { static_cast<mutex*>(m)->unlock(); }

}  // namespace

mutex::mutex(int rank) noexcept
    : hook_(rank, {.prepare = take, .parent = give, .child = give}, this), refused_(platform::at_fork(hook_)) {}

mutex::~mutex() { platform::cancel(hook_); }

}  // namespace strata::mem
