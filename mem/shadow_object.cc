// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

module strata.mem:shadow_object.impl;

import :inspector;
import :page_run;
import :shadow_object;

import strata.platform;

namespace strata::mem {

namespace {

constexpr std::uint64_t kLargest = std::uint64_t{1} << 60;  // bytes
constexpr std::uint64_t kSmallest = std::uint64_t{1} << 20;
constexpr std::size_t kView = std::size_t{4} << 20;
constexpr std::size_t kWindow = std::size_t{64} << 30;

}  // namespace

shadow_object& shadow_object::operator=(shadow_object&& other) noexcept {
  close();
  descriptor_ = std::exchange(other.descriptor_, -1);
  end_ = other.end_;
  size_ = other.size_;
  window_ = std::exchange(other.window_, nullptr);
  return *this;
}

os_error shadow_object::make(const char* name) noexcept {
  end_ = 0;
  return make_of(kLargest, kSmallest, name);
}

os_error shadow_object::make_twin(const shadow_object& other, const char* name) noexcept {
  end_ = other.end_;
  const os_error refused = make_of(other.size_, other.size_, name);
  if (!refused.failed()) show_in_window(0, end_);
  return refused;
}

// What is never touched costs nothing, but a process may be limited in the files it makes.
os_error shadow_object::make_of(std::uint64_t largest, std::uint64_t smallest, const char* name) noexcept {
  const platform::shared_object object = platform::create_unnamed(name);
  if (object.descriptor < 0) return object.error;
  os_error refused;
  for (size_ = largest; size_ >= smallest; size_ >>= 2) {
    refused = platform::resize(object.descriptor, size_);
    if (!refused.failed()) break;
  }
  if (!refused.failed()) refused = platform::seal_size(object.descriptor);
  if (refused.failed()) {
    platform::close_object(object.descriptor);
    return refused;
  }
  descriptor_ = object.descriptor;
  if constexpr (has_address_sanitizer) open_window();
  return {};
}

void shadow_object::close() noexcept {
  close_window();
  if (is_there()) platform::close_object(std::exchange(descriptor_, -1));
}

void shadow_object::open_window() noexcept {
  window_ = static_cast<std::byte*>(platform::reserve(kWindow, page_bytes()).base);
  if (window_ != nullptr) add_root(window_, kWindow);
}

void shadow_object::close_window() noexcept {
  if (window_ == nullptr) return;
  remove_root(window_, kWindow);
  static_cast<void>(platform::unmap(std::exchange(window_, nullptr), kWindow));
}

// What is refused is not seen by LeakSanitizer, no more.
void shadow_object::show_in_window(std::uint64_t offset, std::uint64_t bytes) const noexcept {
  if (window_ == nullptr || bytes == 0 || bytes > kWindow || offset > kWindow - bytes) return;
  static_cast<void>(map(offset, bytes, window_ + offset));
}

std::uint64_t shadow_object::take(std::uint64_t bytes) noexcept {
  if (bytes > size_ - end_) return no_offset;
  show_in_window(end_, bytes);
  return std::exchange(end_, end_ + bytes);
}

os_error shadow_object::too_small() noexcept { return {"ftruncate", EFBIG}; }

os_error shadow_object::map(std::uint64_t offset, std::size_t bytes, void* where) const noexcept {
  return platform::map_object_over(descriptor_, offset, bytes, where);
}

os_error shadow_object::give_back(std::uint64_t offset, std::size_t bytes) const noexcept {
  return platform::give_back_part(descriptor_, offset, bytes);
}

shadow_object::copier::copier(const shadow_object& from, const shadow_object& to) noexcept
    : from_(from), to_(to), view_(platform::reserve(2 * kView, page_bytes()).base) {}

shadow_object::copier::~copier() {
  if (view_ != nullptr) static_cast<void>(platform::unmap(view_, 2 * kView));
}

bool shadow_object::copier::copy(std::uint64_t offset, std::size_t bytes) noexcept {
  if (view_ == nullptr) return false;
  auto* const source = static_cast<std::byte*>(view_);
  std::byte* const target = source + kView;
  for (std::size_t done = 0; done < bytes; done += kView) {
    const std::size_t now = std::min(kView, bytes - done);
    // A page that cannot be had is found out here, not by a signal.
    if (from_.map(offset + done, now, source).failed() || to_.map(offset + done, now, target).failed() ||
        platform::prefault(target, now).failed()) {
      return false;
    }
    std::memcpy(target, source, now);
  }
  return true;
}

}  // namespace strata::mem
