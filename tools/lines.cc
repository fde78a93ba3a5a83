// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

module tools:lines.impl;

import :lines;

namespace tools {

bool lines::next() {
  bool cut = false;  // the rest of a line that is too long is read over
  for (std::size_t seen = begin_;;) {
    const void* const found = std::memchr(buffer_.data() + seen, '\n', end_ - seen);
    if (found != nullptr) {
      const auto at = static_cast<std::size_t>(static_cast<const char*>(found) - buffer_.data());
      if (!cut) text_ = std::string_view(buffer_.data() + begin_, std::min(at - begin_, longest));
      whole_ = !cut && at - begin_ <= longest;
      begin_ = at + 1;
      break;
    }
    if (!cut && end_ - begin_ > longest) {
      // Shown from the first half of the buffer, which what follows is not read into.
      std::memmove(buffer_.data(), buffer_.data() + begin_, longest);
      text_ = std::string_view(buffer_.data(), longest);
      cut = true;
    }
    if (cut) {
      begin_ = end_ = longest;
    } else {
      std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    seen = end_;
    if (!fill()) {
      if (!cut && begin_ == end_) return false;
      if (!cut) text_ = std::string_view(buffer_.data() + begin_, std::min(end_ - begin_, longest));
      whole_ = false;
      begin_ = end_;
      break;
    }
  }
  ++number_;
  return true;
}

bool lines::fill() {
  const std::size_t got = std::fread(buffer_.data() + end_, 1, buffer_.size() - end_, in_);
  if (got == 0 && std::ferror(in_) != 0) error_ = errno;
  end_ += got;
  return got != 0;
}

}  // namespace tools
