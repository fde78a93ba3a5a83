// SPDX-License-Identifier: Apache-2.0
module;
#include <span>

export module bench:workloads;

import :workload;

/// The workloads by name.
export namespace bench {

/// The short form: one thread, the loads in which allocators differ most, a few seconds each.
[[nodiscard]] std::span<const workload> short_workloads() noexcept;

}  // namespace bench
