// SPDX-License-Identifier: Apache-2.0
module;
#include <memory>
#include <span>
#include <string_view>
#include <vector>

export module bench:contenders;

import :subject;

/// Who is compared.
export namespace bench {

struct contender {
  const char* name;
  const char* what;
  bool peer;       ///< not ours: one to be measured against
  bool shareable;  ///< may be used from several threads at once, and pays for it
  /// Makes the memory. Throws absent.
  std::unique_ptr<subject> (*open)();
};

/// Peers first.
[[nodiscard]] std::span<const contender> contenders() noexcept;

/// Those of mpbench: some of these, and some more.
[[nodiscard]] std::vector<const contender*> mpbench_contenders();

/// Those of the shadow pages: a plain memory, the scheme as published, and ours.
[[nodiscard]] std::span<const contender> shadow_contenders() noexcept;

/// One of any. Null when there is none of that name.
[[nodiscard]] const contender* find_contender(std::string_view name) noexcept;

}  // namespace bench
