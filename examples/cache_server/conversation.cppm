// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory_resource>
#include <span>

export module cache_server:conversation;

import :buffer;

/// What one client says and hears, without the socket: bytes come in, bytes go out. One thread at a time; what the
/// memory throws comes through, and then the conversation is over.
export namespace cache_server {

class conversation {
 public:
  /// More output than this waiting: nothing more is worked on, so that a slow reader costs this and one value at most.
  static constexpr std::size_t most_waiting = std::size_t{64} << 10;

  virtual ~conversation() = default;
  conversation(const conversation&) = delete;
  conversation& operator=(const conversation&) = delete;

  /// Where input goes, never empty; to be followed by received().
  [[nodiscard]] virtual std::span<char> room() = 0;
  virtual void received(std::size_t bytes) = 0;
  /// Works on what has come in, as long as not too much output waits.
  virtual void work() = 0;
  /// Bytes this object has.
  [[nodiscard]] virtual std::size_t bytes() const noexcept = 0;

  [[nodiscard]] buffer& output() noexcept { return output_; }
  [[nodiscard]] bool wants_input() const noexcept { return !finished_ && output_.size() < most_waiting; }
  /// Nothing more is said; what waits may still be sent.
  [[nodiscard]] bool finished() const noexcept { return finished_; }

 protected:
  explicit conversation(std::pmr::memory_resource* buffers) noexcept : output_(buffers) {}
  void finish() noexcept { finished_ = true; }

 private:
  buffer output_;
  bool finished_ = false;
};

}  // namespace cache_server
