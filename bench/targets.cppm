// SPDX-License-Identifier: Apache-2.0
module;
#include <optional>
#include <string_view>

export module bench:targets;

/// Where slab_resource is to be.
export namespace bench {

struct target {
  const char* row;
  double most;
  bool of_ratio;  ///< to the best peer that threads may share; else of the figure itself
};

[[nodiscard]] std::optional<target> find_target(std::string_view row) noexcept;

}  // namespace bench
