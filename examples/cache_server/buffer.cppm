// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory_resource>
#include <span>
#include <string_view>

export module cache_server:buffer;

/// Bytes on their way in or out, in one piece, in memory of a resource. Empty, it holds next to nothing.
///
/// One thread at a time. What the resource throws comes through, and nothing has changed then.
export namespace cache_server {

class buffer {
 public:
  static constexpr std::size_t smallest = 1024;    ///< bytes; taken at first
  static constexpr std::size_t kept_empty = 4096;  ///< bytes; an empty buffer that has more gives it back

  explicit buffer(std::pmr::memory_resource* memory) noexcept : memory_(memory) {}
  ~buffer();
  buffer(const buffer&) = delete;
  buffer& operator=(const buffer&) = delete;

  [[nodiscard]] std::string_view text() const noexcept { return {data_ + begin_, end_ - begin_}; }
  [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
  [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }

  /// Free bytes behind the text, at least `wanted`; to be followed by added().
  [[nodiscard]] std::span<char> room(std::size_t wanted);
  void added(std::size_t bytes) noexcept { end_ += bytes; }
  void append(std::string_view text);

  /// Takes away the first bytes.
  void consume(std::size_t bytes) noexcept;

 private:
  void resize(std::size_t capacity);

  std::pmr::memory_resource* const memory_;
  char* data_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace cache_server
