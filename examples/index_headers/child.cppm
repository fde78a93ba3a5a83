// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

export module index_headers:child;

import :measurement;

/// Each measurement in a fresh process: this program, started again. So no memory inherits the heap or the peak of the
/// one before.
export namespace index_headers {

/// True when this process was started by measure_in_child().
[[nodiscard]] bool is_child(int argc, char** argv);

/// The whole life of such a process: takes its order from the arguments and from standard input, answers on standard
/// output. Returns the exit status.
int child_main(int argc, char** argv);

/// measure(), in a process of its own. Also fails when that process cannot be started or ends before it has answered.
[[nodiscard]] absl::StatusOr<measurement> measure_in_child(const work_order& order,
                                                           const std::function<void(std::size_t)>& progress);

}  // namespace index_headers
