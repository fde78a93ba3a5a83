// SPDX-License-Identifier: Apache-2.0
module;
#include <string_view>

export module strata.platform:console;

/// Last words: text for people, straight to standard error.
///
/// Threads  any; a text is one write() as a rule, so lines of several threads seldom mix
/// Signals  may be called in handlers; errno is kept
export namespace strata::platform {

/// Writes all of it, or as much as standard error takes: nobody is left to be told of a failure.
void write_to_console(std::string_view text) noexcept;

}  // namespace strata::platform
