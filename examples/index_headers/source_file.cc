// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

module index_headers:source_file.impl;

import :source_file;

namespace index_headers {
namespace {

constexpr std::size_t kStep = std::size_t{64} << 10;
constexpr std::size_t kBinaryProbe = std::size_t{4} << 10;

struct closer {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

absl::Status os_status(int error) { return absl::UnavailableError(std::strerror(error)); }

}  // namespace

absl::StatusOr<std::string_view> source_reader::read(const std::string& path) {
  const std::unique_ptr<std::FILE, closer> file(std::fopen(path.c_str(), "rb"));
  if (!file) return os_status(errno);
  std::setvbuf(file.get(), nullptr, _IONBF, 0);

  std::size_t size = 0;
  while (true) {
    // One byte more than the text, so that its end is seen without growing a buffer that was made the right size.
    if (size == buffer_.size()) buffer_.resize(std::max(size + kStep, size * 2));
    const std::size_t got = std::fread(buffer_.data() + size, 1, buffer_.size() - size, file.get());
    size += got;
    if (std::ferror(file.get())) return os_status(errno);
    if (got == 0) break;
    if (size > max_bytes) return absl::OutOfRangeError("larger than 64 MiB");
  }
  const std::string_view text(buffer_.data(), size);
  if (text.substr(0, kBinaryProbe).find('\0') != std::string_view::npos) return absl::InvalidArgumentError("binary");
  return text;
}

}  // namespace index_headers
