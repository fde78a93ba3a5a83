// SPDX-License-Identifier: Apache-2.0
module;
#include <functional>
#include <memory_resource>
#include <span>

export module bench:contenders;

/// Who is compared, each a name and one line that builds it.
export namespace bench {

struct contender {
  const char* name;
  const char* what;
  bool peer;       ///< not ours: one to be measured against
  bool shareable;  ///< may be used from several threads at once, and pays for it
  /// Builds the memory, does the work in it, destroys it.
  void (*run)(const std::function<void(std::pmr::memory_resource&)>& work);
};

/// Peers first.
[[nodiscard]] std::span<const contender> contenders() noexcept;

}  // namespace bench
