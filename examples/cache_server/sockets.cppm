// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

export module cache_server:sockets;

/// As much of POSIX' sockets as is needed. Nothing throws; what fails says so by its errno.
export namespace cache_server {

/// A descriptor, closed at the end.
class descriptor {
 public:
  descriptor() noexcept = default;
  explicit descriptor(int fd) noexcept : fd_(fd) {}
  ~descriptor() { close(); }
  descriptor(descriptor&& other) noexcept : fd_(other.release()) {}
  descriptor& operator=(descriptor&& other) noexcept;
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
  int release() noexcept;
  void close() noexcept;

 private:
  int fd_ = -1;
};

struct listener {
  descriptor socket;
  std::uint16_t port = 0;  ///< as it came out
  int error = 0;
};

/// Listens at an IPv4 address in numbers; port 0: any that is free.
[[nodiscard]] listener listen_at(const std::string& address, std::uint16_t port) noexcept;

struct accepted {
  descriptor socket;
  int error = 0;  ///< EAGAIN: nobody is waiting
};

/// A client, not blocking and without delay.
[[nodiscard]] accepted accept_at(const descriptor& listener) noexcept;

struct transfer {
  std::size_t bytes = 0;
  int error = 0;       ///< EAGAIN: not now
  bool ended = false;  ///< the other side says no more
};

[[nodiscard]] transfer receive(const descriptor& from, std::span<char> into) noexcept;
[[nodiscard]] transfer send(const descriptor& to, std::string_view text) noexcept;

/// Says that no more will come, and throws away what the other side still says: closing at once would take the last
/// words from it.
void say_goodbye(const descriptor& to) noexcept;

/// Lets this process have `wanted` descriptors, if it may; returns how many it may have.
std::size_t allow_descriptors(std::size_t wanted) noexcept;

/// Whether an accept() that failed so may succeed later, when descriptors or memory are free again.
[[nodiscard]] bool is_shortage(int error) noexcept;

/// Whether to try again when there is something to do.
[[nodiscard]] bool is_not_now(int error) noexcept;

}  // namespace cache_server
