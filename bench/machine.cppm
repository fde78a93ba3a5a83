// SPDX-License-Identifier: Apache-2.0
module;
#include <string>

export module bench:machine;

/// Where a run took place.
export namespace bench {

/// Model of the processor, "unknown" when the system does not say.
[[nodiscard]] std::string processor_name();

}  // namespace bench
