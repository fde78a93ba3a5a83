// SPDX-License-Identifier: Apache-2.0
module;
#include <span>
#include <string_view>
#include <vector>

export module bench:workloads;

import :workload;

/// The workloads by name.
export namespace bench {

[[nodiscard]] std::span<const workload> workloads() noexcept;

/// Those of mpbench: its phases in 1 to `threads` threads, then its holes. Pre: 1 <= threads <= mpbench_most_threads.
[[nodiscard]] std::vector<const workload*> mpbench_workloads(unsigned threads);
inline constexpr unsigned mpbench_most_threads = 256;

/// Those of shadow pages: the life of one block, three kinds of programs, churn_small.
[[nodiscard]] std::span<const workload> shadow_workloads() noexcept;

/// One of any. Null when there is none of that name.
[[nodiscard]] const workload* find_workload(std::string_view name) noexcept;

}  // namespace bench
