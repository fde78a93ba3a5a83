// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>
#include <string_view>

export module tools:call_log;

/// A line of the call log that debug_adaptor writes (version 1):
///
///     strata-log 1 <layer>
///     <layer> <n> begin allocate bytes=64 alignment=16 thread=1
///     <layer> <n> end allocate pointer=0x… bytes=64 alignment=16 thread=1 stack=0x…,0x…
///     <layer> <n> end allocate failed …         or misuse; a call that ended so has changed nothing
///     <layer> <n> begin deallocate pointer=0x… bytes=64 …
///     <layer> <n> begin reallocate pointer=0x… bytes=64 to=128 …
///     <layer> <n> end reallocate pointer=0x… from=0x… bytes=128 … stack=…
///     <layer> <n> begin release
///     frame 0x… <function>
///
/// Fields and words that are not known are read over.
export namespace tools {

enum class verb : unsigned char { allocate, deallocate, reallocate, release };
[[nodiscard]] std::string_view name_of(verb what) noexcept;

enum class ending : unsigned char { none, done, failed, misuse };  ///< none: a call that begins

/// One end of a call; what a line does not say is 0.
struct call {
  std::string_view layer = {};  ///< as written
  std::uint64_t number = 0;
  verb what = verb::allocate;
  ending end = ending::none;
  std::uint64_t pointer = 0, from = 0;
  std::uint64_t bytes = 0, to = 0, alignment = 0;
  std::uint64_t thread = 0;
  std::string_view stack = {};  ///< addresses, innermost first, commas between
};

struct log_line {
  enum class kind : unsigned char {
    other,    ///< not of a log
    header,   ///< call.layer begins
    call,     ///< call
    frame,    ///< call.pointer is the code address, name the function, as written
    damaged,  ///< begins as a line of call.layer does, and is none
    version,  ///< a header of a version that is not known
  };
  kind is = kind::other;
  tools::call call = {};
  std::string_view name = {};
};

/// The result points into `line`.
[[nodiscard]] log_line read_log_line(std::string_view line) noexcept;

}  // namespace tools
