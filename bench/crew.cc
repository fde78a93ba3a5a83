// SPDX-License-Identifier: Apache-2.0
module;
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>

module bench:crew.impl;

import :crew;

namespace bench {

crew::crew(std::size_t threads) {
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this, i] { serve(i); });
}

crew::~crew() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  for (std::thread& t : threads_) t.join();
}

void crew::run(const std::function<void(std::size_t)>& work) {
  std::unique_lock lock(mutex_);
  work_ = &work;
  busy_ = threads_.size();
  ++round_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return busy_ == 0; });
}

void crew::serve(std::size_t number) {
  pin_this_thread(number);
  std::unique_lock lock(mutex_);
  for (std::size_t done = 0;; ++done) {
    changed_.wait(lock, [&] { return over_ || round_ != done; });
    if (over_) return;
    const auto& work = *work_;
    lock.unlock();
    work(number);
    lock.lock();
    if (--busy_ == 0) changed_.notify_all();
  }
}

}  // namespace bench
