// SPDX-License-Identifier: Apache-2.0
module;
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <deque>
#include <map>
#include <memory_resource>
#include <string>
#include <string_view>
#include <utility>

export module load_generator:statistics;

/// What a load generator knows in the end: standard containers, in a memory of your choice.
export namespace load_generator {

class statistics {
 public:
  using clock = std::chrono::steady_clock;

  explicit statistics(std::pmr::memory_resource* memory) : sizes_(memory), events_(memory) {}

  /// A block of so many bytes was asked for; whether malloc had it, and how long it took to answer.
  void asked(std::size_t bytes, bool got, clock::duration took);

  /// Something worth a line.
  void note(std::string_view event);

  /// A row for each size, then the events.
  void print(std::FILE* out) const;

 private:
  // Answers by time: those below 2, 4, 8, … ns.
  using histogram = std::pmr::map<unsigned, std::size_t>;
  struct answers {
    using allocator_type = std::pmr::polymorphic_allocator<>;
    explicit answers(allocator_type memory) : times(memory) {}
    std::size_t got = 0;
    std::size_t refused = 0;
    histogram times;
  };
  struct largest_first {
    bool operator()(std::size_t a, std::size_t b) const { return a > b; }
  };

  const clock::time_point begin_ = clock::now();
  std::pmr::map<std::size_t, answers, largest_first> sizes_;
  std::pmr::deque<std::pair<double, std::pmr::string>> events_;  ///< seconds since the begin, and what
};

}  // namespace load_generator
