// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

export module tools:heap_dump;

/// A heap as heap_resource::dump() writes it (version 1):
///
///     strata-heap 1 <name>
///     arena <start> <bytes>
///     <state> <payload> <block bytes> <asked>       in address order; a block begins 8 bytes before its payload
///     end <arenas> <blocks>
///
/// States that are not known are shown as other, further fields are read over.
export namespace tools {

enum class block_state : unsigned char { used, movable, kept, free, other };
inline constexpr std::size_t block_states = 5;
[[nodiscard]] std::string_view name_of(block_state state) noexcept;

struct dumped_block {
  std::uint64_t payload = 0;  ///< address handed out
  std::uint64_t bytes = 0;    ///< of the whole block, its word included
  std::uint64_t asked = 0;
  block_state state = block_state::other;

  static constexpr std::uint64_t word = 8;  ///< bytes before the payload
  [[nodiscard]] inline std::uint64_t begin() const noexcept { return payload - word; }
  [[nodiscard]] inline std::uint64_t end() const noexcept { return begin() + bytes; }
};

struct dumped_arena {
  std::uint64_t start = 0;
  std::uint64_t bytes = 0;
  std::vector<dumped_block> blocks;  ///< in address order, each within the arena, none over another

  [[nodiscard]] inline std::uint64_t end() const noexcept { return start + bytes; }
};

/// What does not add up in a dump.
enum class dump_oddity : unsigned char { damaged, misplaced, asked_too_much, wrong_count, cut_short };
inline constexpr std::size_t dump_oddities = 5;
[[nodiscard]] std::string_view sentence_of(dump_oddity what) noexcept;

struct heap_dump {
  std::string name;  ///< for people
  std::vector<dumped_arena> arenas;

  struct occurrence {
    std::uint64_t times = 0;
    std::uint64_t first_line = 0;
  };
  std::array<occurrence, dump_oddities> odd{};  ///< by dump_oddity

  [[nodiscard]] bool adds_up() const noexcept;
};

/// Takes a file line by line; what stands before, between and after dumps is read over.
class heap_dump_reader {
 public:
  void add(std::string_view line, bool whole);

  /// To be called when there are no more lines.
  [[nodiscard]] std::vector<heap_dump> finish();

  /// A dump of a version that is not known was met, and read over.
  [[nodiscard]] bool unknown_version() const noexcept { return unknown_version_; }

 private:
  void note(dump_oddity what);
  void open(std::string_view rest);
  void close(std::string_view rest);
  void add_arena(std::string_view rest);
  void add_block(std::string_view line);

  std::vector<heap_dump> dumps_;
  std::uint64_t line_ = 0;
  bool inside_ = false;  // between a dump's first line and its end
  bool unknown_version_ = false;
};

}  // namespace tools
