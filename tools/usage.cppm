// SPDX-License-Identifier: Apache-2.0
module;
#include <string_view>

export module tools:usage;

/// What all commands answer to a wrong call: one sentence, and how it is done.
export namespace tools {

inline constexpr int not_usable = 2;  ///< exit status of a wrong call, and when there is nothing to work on

/// Says why on standard error, and the usage. Returns not_usable.
int usage_error(std::string_view why, std::string_view usage);

/// The same without the usage: the call was right, what it named was not.
int input_error(std::string_view name, std::string_view why);

}  // namespace tools
