// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <functional>

export module load_generator:small_machine;

/// A machine that may be driven to its limit.
export namespace load_generator {

/// Does `work` in a process of its own that may map `bytes` more than it has, and not one more. Returns its exit
/// status; -1 when it ended otherwise, or there was no such process.
[[nodiscard]] int in_small_machine(std::size_t bytes, const std::function<int()>& work);

}  // namespace load_generator
