// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdio>
#include <string_view>

export module strata.pmr:gzip_stream;

import strata.mem;

/// Compresses what is written, in gzip's format, to a C stream. The one room that knows zlib, whose memory comes from the
/// OS and goes back at the end.
///
/// What is refused first, memory or a write, is kept and told at the end; what comes after it goes nowhere. One thread at
/// a time; nothing throws.
export namespace strata::pmr {

class gzip_stream {
 public:
  explicit gzip_stream(std::FILE* out) noexcept;
  ~gzip_stream();
  gzip_stream(const gzip_stream&) = delete;
  gzip_stream& operator=(const gzip_stream&) = delete;

  void write(std::string_view bytes) noexcept;

  /// Makes a refusal of the caller's own the stream's.
  inline void refuse(mem::os_error why) noexcept {
    if (!refused_.failed()) refused_ = why;
  }

  /// Writes what is left, and the end; what went wrong, if anything did. Pre: called once, and nothing is written after.
  [[nodiscard]] mem::os_error finish() noexcept;

 private:
  struct workshop;

  void deflate(std::string_view bytes, bool last) noexcept;

  std::FILE* const out_;
  mem::page_run memory_;
  workshop* work_ = nullptr;  ///< in that memory
  mem::os_error refused_{};
};

}  // namespace strata::pmr
