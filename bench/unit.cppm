// SPDX-License-Identifier: Apache-2.0
module;
#include <string>

export module bench:unit;

/// What figures are counted in.
export namespace bench {

enum class unit : unsigned char { nanoseconds, cycles, ratio };

[[nodiscard]] const char* name_of(unit u) noexcept;

/// With as many digits as mean something.
[[nodiscard]] std::string format_figure(double figure, unit u);

}  // namespace bench
