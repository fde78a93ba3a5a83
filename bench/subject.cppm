// SPDX-License-Identifier: Apache-2.0
module;
#include <memory_resource>
#include <stdexcept>

export module bench:subject;

/// The memory under measurement.
export namespace bench {

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
};

/// A contender that is not installed, or whose library is not as expected: what() says why.
struct absent : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A workload this memory does not serve as it should: what() says which promise it breaks.
struct cannot : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace bench
