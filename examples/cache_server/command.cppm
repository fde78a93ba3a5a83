// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

export module cache_server:command;

/// Lines of the memcached text protocol, read. Values only; any thread, nothing allocated.
export namespace cache_server {

inline constexpr std::size_t longest_key = 250;

enum class verb : std::uint8_t {
  unknown,  ///< no such command, or words are missing
  get,
  gets,
  set,
  add,
  replace,
  append,
  prepend,
  cas,
  del,
  incr,
  decr,
  touch,
  flush_all,
  stats,
  verbosity,
  version,
  quit,
};

/// What a line says. What is wrong with it is a reply, which ends without the line's end.
struct command {
  verb what = verb::unknown;
  std::string_view key;        ///< of all but get; may be empty: see `wrong`
  std::string_view keys;       ///< of get and gets: the words behind the command
  std::uint32_t flags = 0;     ///< stored with the value
  std::int64_t expires = 0;    ///< as sent, in seconds; of flush_all the delay
  std::uint64_t number = 0;    ///< of cas the unique; of incr and decr how much
  std::uint64_t bytes = 0;     ///< of the value that follows
  bool value_follows = false;  ///< `bytes` and a line's end come next, even when something is wrong
  bool noreply = false;
  const char* wrong = nullptr;
};

/// Reads a line, which comes without its end. The views are of the line.
[[nodiscard]] command read_command(std::string_view line) noexcept;

/// Takes the first word away from `words` and returns it; empty when there is none.
std::string_view take_word(std::string_view& words) noexcept;

/// A decimal number without sign, no more than `most`.
[[nodiscard]] std::optional<std::uint64_t> number_of(std::string_view text, std::uint64_t most = UINT64_MAX) noexcept;

[[nodiscard]] inline bool stores(verb what) noexcept { return what >= verb::set && what <= verb::cas; }

}  // namespace cache_server
