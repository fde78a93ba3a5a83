// SPDX-License-Identifier: Apache-2.0
module;
#include <optional>
#include <span>
#include <string_view>

export module bench:targets;

/// Where slab_resource and shadow_resource are to be.
export namespace bench {

struct target {
  const char* row;
  double most;
  bool of_ratio;  ///< to the best peer that threads may share; else of the figure itself
};

/// Of slab_resource.
[[nodiscard]] std::optional<target> find_target(std::string_view row) noexcept;

/// What one contender's figure may be of another's at most.
struct goal {
  const char* row;
  const char* contender;
  const char* reference;
  double most;
};

[[nodiscard]] std::span<const goal> shadow_goals() noexcept;

}  // namespace bench
