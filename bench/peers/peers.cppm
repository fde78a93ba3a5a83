// SPDX-License-Identifier: Apache-2.0
module;
#include <memory>

export module bench:peers;

import :subject;

/// Allocators of others. Those from libraries of their own are opened at run time and throw absent where they are not
/// installed.
export namespace bench {

[[nodiscard]] std::unique_ptr<subject> open_glibc();
[[nodiscard]] std::unique_ptr<subject> open_malloc();
[[nodiscard]] std::unique_ptr<subject> open_mimalloc();
[[nodiscard]] std::unique_ptr<subject> open_jemalloc();
[[nodiscard]] std::unique_ptr<subject> open_tcmalloc();
[[nodiscard]] std::unique_ptr<subject> open_tbb();
[[nodiscard]] std::unique_ptr<subject> open_std_sync_pool();
[[nodiscard]] std::unique_ptr<subject> open_std_pool();
[[nodiscard]] std::unique_ptr<subject> open_std_segment();
[[nodiscard]] std::unique_ptr<subject> open_boost_sync_pool();
[[nodiscard]] std::unique_ptr<subject> open_boost_pool();
[[nodiscard]] std::unique_ptr<subject> open_boost_dlmalloc();

}  // namespace bench
