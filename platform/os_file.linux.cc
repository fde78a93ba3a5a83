// SPDX-License-Identifier: Apache-2.0
module;
#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>
#include <system_error>
#include <utility>

module strata.platform:os_file.linux;

import :os_file;

namespace strata::platform {

path& path::append(std::string_view text) noexcept {
  if (!fits_ || text.size() >= capacity - size_) {
    fits_ = false;
    return *this;
  }
  if (!text.empty()) std::memcpy(text_ + size_, text.data(), text.size());
  size_ += text.size();
  text_[size_] = '\0';
  return *this;
}

void path::shorten(std::size_t length) noexcept {
  size_ = length;
  text_[size_] = '\0';
}

descriptor::descriptor(const path& name, int flags) noexcept : fd_(-1) {
  if (!name.fits()) return;
  do {
    fd_ = ::open(name.c_str(), flags | O_RDONLY | O_CLOEXEC);
  } while (fd_ < 0 && errno == EINTR);
}

descriptor::~descriptor() {
  // Not repeated after EINTR: Linux has closed the descriptor all the same, and another thread may own the number by
  // now.
  if (fd_ >= 0) ::close(fd_);
}

line_reader::line_reader(const path& name) noexcept : file_(name, 0) {}

bool line_reader::refill() noexcept {
  if (file_.get() < 0 || ended_) return false;
  std::memmove(buffer_, buffer_ + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  ssize_t got = 0;
  do {
    got = ::read(file_.get(), buffer_ + end_, longest_line - end_);
  } while (got < 0 && errno == EINTR);
  if (got < 0) end_ = 0;
  if (got <= 0) return ended_ = true, false;
  end_ += static_cast<std::size_t>(got);
  return true;
}

bool line_reader::next(std::string_view& line) noexcept {
  bool skipping = false;  // inside a line that did not fit
  for (std::size_t scanned = 0;;) {
    const std::string_view kept(buffer_ + begin_, end_ - begin_);
    if (const auto at = kept.find('\n', scanned); at != kept.npos) {
      begin_ += at + 1;
      scanned = 0;
      if (!std::exchange(skipping, false)) return line = kept.substr(0, at), true;
      continue;
    }
    scanned = kept.size();
    if (scanned == longest_line) {
      skipping = true;
      begin_ = end_;
      scanned = 0;
    }
    if (!refill()) {
      // What is left is a last line without newline.
      line = skipping ? std::string_view() : std::string_view(buffer_ + begin_, end_ - begin_);
      begin_ = end_;
      return !line.empty();
    }
  }
}

name_reader::name_reader(const path& name) noexcept : directory_(name, O_DIRECTORY) {}

bool name_reader::next(std::string_view& name) noexcept {
  if (begin_ == end_) {
    if (directory_.get() < 0) return false;
    // Not readdir(): opendir() allocates.
    ssize_t got = 0;
    do {
      got = ::getdents64(directory_.get(), buffer_, sizeof buffer_);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) return false;
    begin_ = 0;
    end_ = static_cast<std::size_t>(got);
  }
  const char* const entry = buffer_ + begin_;
  unsigned short length = 0;
  std::memcpy(&length, entry + offsetof(dirent64, d_reclen), sizeof length);
  name = entry + offsetof(dirent64, d_name);
  begin_ += length;
  return true;
}

std::string_view cut(std::string_view& text, char separator) noexcept {
  const std::size_t at = text.find(separator);
  const std::string_view word = text.substr(0, at);
  text.remove_prefix(at == text.npos ? text.size() : at + 1);
  return word;
}

bool parse_number(std::string_view text, std::uint64_t& value, int base) noexcept {
  constexpr std::string_view kSpace = " \t\r";
  const auto first = text.find_first_not_of(kSpace);
  if (first == text.npos) return false;
  text = text.substr(first, text.find_last_not_of(kSpace) - first + 1);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (end != text.data() + text.size() || error == std::errc::invalid_argument) return false;
  value = error == std::errc() ? number : std::numeric_limits<std::uint64_t>::max();
  return true;
}

bool read_number(const path& name, std::uint64_t& value, int base) noexcept {
  line_reader file(name);
  std::string_view line;
  return file.next(line) && parse_number(line, value, base);
}

}  // namespace strata::platform
