// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory_resource>
#include <stdexcept>

export module bench:subject;

/// The memory under measurement.
export namespace bench {

/// Of memory that lives in one fixed segment, bytes.
inline constexpr std::size_t segment_bytes = std::size_t{64} << 20;

/// One contender's memory, while it lives.
class subject {
 public:
  subject() = default;
  subject(const subject&) = delete;
  subject& operator=(const subject&) = delete;
  virtual ~subject() = default;

  [[nodiscard]] virtual std::pmr::memory_resource& memory() noexcept = 0;

  /// Gives back to the system what is not in use, by the contender's own call. Some have none.
  virtual void trim() noexcept {}

  /// True when all of it lives in one fixed segment of segment_bytes.
  [[nodiscard]] virtual bool in_segment() const noexcept { return false; }

  /// Pre: everything was given back and nobody is at work. Throws wrong when the contender's own figures say otherwise.
  /// Some have none.
  virtual void verify() const {}
};

/// A contender that is not installed, or whose library is not as expected: what() says why.
struct absent : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A workload this memory does not serve as it should: what() says which promise it breaks.
struct cannot : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Books that contradict themselves: what() says what contradicts what. Nothing measured of it counts.
struct wrong : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace bench
