// SPDX-License-Identifier: Apache-2.0
module;
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

export module bench:crew;

/// Threads that wait for work, each on a processor of its own as far as there are enough.
export namespace bench {

class crew {
 public:
  explicit crew(std::size_t threads);
  ~crew();
  crew(const crew&) = delete;
  crew& operator=(const crew&) = delete;

  [[nodiscard]] std::size_t size() const noexcept { return threads_.size(); }

  /// Calls `work` with 0, 1, … in one thread each, always the same for a number, and waits for all of them.
  void run(const std::function<void(std::size_t)>& work);

 private:
  void serve(std::size_t number);

  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void(std::size_t)>* work_ = nullptr;
  std::size_t round_ = 0;  // of work given out; how each thread knows what it has not done yet
  std::size_t busy_ = 0;
  bool over_ = false;
  std::vector<std::thread> threads_;
};

/// Keeps the calling thread to one of the processors it may use, counted round.
void pin_this_thread(std::size_t number) noexcept;

}  // namespace bench
