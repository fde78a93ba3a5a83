// SPDX-License-Identifier: Apache-2.0
module;
#include <span>
#include <string_view>

export module bench:workloads;

import :workload;

/// The workloads by name.
export namespace bench {

[[nodiscard]] std::span<const workload> workloads() noexcept;

/// Null when there is none of that name.
[[nodiscard]] const workload* find_workload(std::string_view name) noexcept;

}  // namespace bench
