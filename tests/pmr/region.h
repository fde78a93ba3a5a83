// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory_resource>
#include <mutex>
#include <new>

namespace strata::test {

/// One block of its upstream's, taken when it is made, as a resource that can tell its own.
/// It is no layer, as a program's own resource would not be. Any thread.
class region final : public std::pmr::memory_resource {
 public:
  explicit region(std::pmr::memory_resource* upstream, std::size_t bytes)
      : upstream_(upstream), bytes_(bytes), base_(static_cast<std::byte*>(upstream->allocate(bytes, alignment))) {}
  ~region() override { upstream_->deallocate(base_, bytes_, alignment); }
  region(const region&) = delete;
  region& operator=(const region&) = delete;

  [[nodiscard]] bool owns(const void* p) const noexcept {
    const auto* const at = static_cast<const std::byte*>(p);
    return at >= base_ && at < base_ + bytes_;
  }

 private:
  static constexpr std::size_t alignment = 4096;

  // From the bottom up; what is freed is used again once all is free.
  void* do_allocate(std::size_t bytes, std::size_t wanted) override {
    const std::lock_guard lock(mutex_);
    const std::size_t from = (used_ + wanted - 1) & ~(wanted - 1);
    const std::size_t needed = bytes == 0 ? 1 : bytes;
    if (wanted > alignment || from > bytes_ || needed > bytes_ - from) throw std::bad_alloc();
    used_ = from + needed;
    ++live_;
    return base_ + from;
  }
  void do_deallocate(void* /*p*/, std::size_t /*bytes*/, std::size_t /*alignment*/) override {
    const std::lock_guard lock(mutex_);
    if (--live_ == 0) used_ = 0;
  }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  std::pmr::memory_resource* const upstream_;
  const std::size_t bytes_;
  std::byte* const base_;
  std::mutex mutex_;
  std::size_t used_ = 0;
  std::size_t live_ = 0;
};

}  // namespace strata::test
