// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <mutex>
#include <thread>

export module cache_server:worker;

import :conversation;
import :service;
import :sockets;

/// A thread and the clients it serves.
export namespace cache_server {

enum class speaks : std::uint8_t { memcached, http };

class worker {
 public:
  /// Starts the thread. Both outlive this object. Throws std::system_error when there is none, or nothing to wait with.
  worker(service& all, std::pmr::memory_resource* buffers);
  /// Ends it; see drain().
  ~worker();
  worker(const worker&) = delete;
  worker& operator=(const worker&) = delete;

  /// Gives it a client; any thread. False when there is no memory for it.
  [[nodiscard]] bool take(descriptor socket, speaks language) noexcept;

  /// Answers what has come in, sends what waits for at most `seconds`, and closes. Any thread, once.
  void drain(unsigned seconds) noexcept;

 private:
  struct client;

  void run() noexcept;
  void wake() noexcept;
  void admit();
  void serve(client& c, bool readable) noexcept;
  bool read(client& c);
  bool write(client& c) noexcept;
  bool wait_for(client& c) noexcept;
  void end(client* c) noexcept;
  void end_idle(std::uint32_t now) noexcept;
  void begin_draining() noexcept;

  service& all_;
  std::pmr::memory_resource* const buffers_;
  descriptor poll_;
  descriptor bell_;
  client* clients_ = nullptr;
  client* dying_ = nullptr;  ///< out of clients_, until this round's events are all dealt with
  std::mutex lock_;
  client* arrived_ = nullptr;                 ///< under lock_
  std::atomic<std::int64_t> drain_until_{0};  ///< milliseconds of the steady clock; 0: no end in sight
  bool draining_ = false;
  std::thread thread_;
};

}  // namespace cache_server
