// SPDX-License-Identifier: Apache-2.0
module;
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

module cache_server:sockets.posix;

import :sockets;

namespace cache_server {

namespace {

bool no_blocking(int fd) noexcept {
  return ::fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && ::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

void set(int fd, int level, int option) noexcept {
  const int yes = 1;
  static_cast<void>(::setsockopt(fd, level, option, &yes, sizeof yes));
}

}  // namespace

descriptor& descriptor::operator=(descriptor&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = other.release();
  }
  return *this;
}

int descriptor::release() noexcept { return std::exchange(fd_, -1); }

void descriptor::close() noexcept {
  if (fd_ >= 0) ::close(release());
}

listener listen_at(const std::string& address, std::uint16_t port) noexcept {
  listener made{.socket = descriptor(::socket(AF_INET, SOCK_STREAM, 0)), .port = port, .error = 0};
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_port = htons(port);
  socklen_t length = sizeof place;
  if (::inet_pton(AF_INET, address.c_str(), &place.sin_addr) != 1) {
    made.error = EINVAL;
    return made;
  }
  const int fd = made.socket.get();
  auto* const where = reinterpret_cast<sockaddr*>(&place);
  if (fd >= 0) set(fd, SOL_SOCKET, SO_REUSEADDR);
  if (fd < 0 || !no_blocking(fd) || ::bind(fd, where, sizeof place) != 0 || ::listen(fd, 1024) != 0 ||
      ::getsockname(fd, where, &length) != 0) {
    made.error = errno;
    return made;
  }
  made.port = ntohs(place.sin_port);
  return made;
}

accepted accept_at(const descriptor& listener) noexcept {
  accepted made{.socket = descriptor(::accept(listener.get(), nullptr, nullptr)), .error = 0};
  if (!made.socket.is_open() || !no_blocking(made.socket.get())) {
    made.error = errno;
    made.socket.close();
    return made;
  }
  set(made.socket.get(), IPPROTO_TCP, TCP_NODELAY);
  return made;
}

transfer receive(const descriptor& from, std::span<char> into) noexcept {
  const ssize_t got = ::recv(from.get(), into.data(), into.size(), 0);
  if (got < 0) return {.bytes = 0, .error = errno, .ended = false};
  return {.bytes = static_cast<std::size_t>(got), .error = 0, .ended = got == 0};
}

transfer send(const descriptor& to, std::string_view text) noexcept {
  const ssize_t sent = ::send(to.get(), text.data(), text.size(), MSG_NOSIGNAL);
  if (sent < 0) return {.bytes = 0, .error = errno, .ended = false};
  return {.bytes = static_cast<std::size_t>(sent), .error = 0, .ended = false};
}

void say_goodbye(const descriptor& to) noexcept {
  std::array<char, 4096> rest;
  static_cast<void>(::shutdown(to.get(), SHUT_WR));
  for (int tries = 0; tries < 64 && ::recv(to.get(), rest.data(), rest.size(), 0) > 0; ++tries) {
  }
}

std::size_t allow_descriptors(std::size_t wanted) noexcept {
  rlimit now{};
  if (::getrlimit(RLIMIT_NOFILE, &now) != 0) return 0;
  if (now.rlim_cur < wanted) {
    rlimit more{.rlim_cur = wanted, .rlim_max = std::max<rlim_t>(wanted, now.rlim_max)};
    if (::setrlimit(RLIMIT_NOFILE, &more) != 0) {
      more = {.rlim_cur = std::min<rlim_t>(wanted, now.rlim_max), .rlim_max = now.rlim_max};
      static_cast<void>(::setrlimit(RLIMIT_NOFILE, &more));
    }
    static_cast<void>(::getrlimit(RLIMIT_NOFILE, &now));
  }
  return static_cast<std::size_t>(now.rlim_cur);
}

bool is_shortage(int error) noexcept {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

bool is_not_now(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace cache_server
