// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory_resource>
#include <span>
#include <string_view>

module cache_server:buffer.impl;

import :buffer;

namespace cache_server {

buffer::~buffer() {
  if (data_ != nullptr) memory_->deallocate(data_, capacity_, 1);
}

std::span<char> buffer::room(std::size_t wanted) {
  if (capacity_ - end_ < wanted) {
    if (capacity_ - size() >= wanted && begin_ >= capacity_ / 2) {
      std::memmove(data_, data_ + begin_, size());
      end_ -= begin_;
      begin_ = 0;
    } else {
      resize(std::max({smallest, 2 * size(), size() + wanted}));
    }
  }
  return {data_ + end_, capacity_ - end_};
}

void buffer::append(std::string_view text) {
  if (text.empty()) return;
  std::memcpy(room(text.size()).data(), text.data(), text.size());
  end_ += text.size();
}

void buffer::consume(std::size_t bytes) noexcept {
  begin_ += bytes;
  if (begin_ != end_) return;
  begin_ = end_ = 0;
  if (capacity_ <= kept_empty) return;
  memory_->deallocate(data_, capacity_, 1);
  data_ = nullptr;
  capacity_ = 0;
}

void buffer::resize(std::size_t capacity) {
  char* const fresh = static_cast<char*>(memory_->allocate(capacity, 1));
  if (data_ != nullptr) {
    std::memcpy(fresh, data_ + begin_, size());
    memory_->deallocate(data_, capacity_, 1);
  }
  end_ -= begin_;
  begin_ = 0;
  data_ = fresh;
  capacity_ = capacity;
}

}  // namespace cache_server
