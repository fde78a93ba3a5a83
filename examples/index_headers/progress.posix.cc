// SPDX-License-Identifier: Apache-2.0
module;
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string_view>

module index_headers:progress.posix;

import :progress;

namespace index_headers {

progress_line::progress_line(std::FILE* out) : out_(out), terminal_(::isatty(::fileno(out)) == 1) {}

void progress_line::update(std::string_view text) {
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_ || now < next_) return;
  next_ = now + std::chrono::milliseconds(100);
  std::fprintf(out_, "\r%.*s\033[K", static_cast<int>(text.size()), text.data());
  std::fflush(out_);
  shown_ = true;
}

void progress_line::keep(std::string_view text) {
  clear();
  std::fprintf(out_, "%.*s\n", static_cast<int>(text.size()), text.data());
  std::fflush(out_);
}

void progress_line::clear() {
  if (shown_) std::fputs("\r\033[K", out_);
  std::fflush(out_);
  shown_ = false;
}

}  // namespace index_headers
