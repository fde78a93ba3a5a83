// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

export module tools:live_set;

import :call_log;

/// What is live at the end of a call log, as far as its lines tell.
export namespace tools {

/// What does not add up.
enum class oddity : unsigned char {
  freed_not_live,
  moved_not_live,
  handed_out_live,
  ended_unbegun,
  begun_twice,
  same_name,
  damaged,
  cut_short,
  version,
};
inline constexpr std::size_t oddities = 9;

struct occurrence {
  std::uint64_t times = 0;
  std::uint64_t first_line = 0;
};

struct live_block {
  std::uint64_t bytes = 0;
  std::uint32_t stack = 0;  ///< index into live_set::stacks()
};

/// A call that has begun and not ended, and the blocks it has taken out of the live set meanwhile: from its beginning on
/// another thread may be handed the same address.
struct open_call {
  tools::call call;  ///< `layer` and `stack` are empty
  std::uint64_t line = 0;
  std::vector<std::pair<std::uint64_t, live_block>> taken;
};

struct logged_layer {
  std::string name;  ///< for people
  bool announced = false;
  std::unordered_map<std::uint64_t, live_block> live;  ///< by address
  std::unordered_map<std::uint64_t, open_call> open;   ///< by number; at the end: calls under way
  std::array<std::uint64_t, 4> calls{};                ///< that have ended well, by verb
  std::uint64_t failed = 0, misuse = 0;
};

class live_set {
 public:
  live_set();
  live_set(const live_set&) = delete;
  live_set& operator=(const live_set&) = delete;

  /// \param whole  false for a line that the log breaks off in: it is not believed
  void add(std::string_view line, bool whole);

  /// To be called when there are no more lines: what was being given back is live still.
  void finish();

  [[nodiscard]] const std::deque<logged_layer>& layers() const noexcept { return layers_; }
  [[nodiscard]] const occurrence& count(oddity of) const noexcept { return odd_[static_cast<std::size_t>(of)]; }
  [[nodiscard]] std::uint64_t lines() const noexcept { return line_; }

  /// Lines that are not of a log.
  [[nodiscard]] std::uint64_t others() const noexcept { return others_; }

  /// Every call stack met, as written; number 0 is none.
  [[nodiscard]] const std::vector<std::string_view>& stacks() const noexcept { return stacks_; }

  /// The function at a code address, for people; "?" when the log does not say.
  [[nodiscard]] std::string_view function(std::uint64_t code) const;

 private:
  struct hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  template <class Value>
  using by_text = std::unordered_map<std::string, Value, hash, std::equal_to<>>;

  logged_layer& layer_of(std::string_view written);
  std::uint32_t stack_of(std::string_view written);
  void note(oddity what);
  void begin(logged_layer& in, const call& c);
  void end(logged_layer& in, const call& c);
  void take(logged_layer& from, std::uint64_t pointer, open_call& to);
  void put_back(logged_layer& in, open_call& call);
  void hand_out(logged_layer& in, const call& c);

  std::deque<logged_layer> layers_;
  by_text<logged_layer*> layer_by_name_;
  by_text<std::uint32_t> stack_by_text_;
  std::vector<std::string_view> stacks_;  // the keys of stack_by_text_
  std::unordered_map<std::uint64_t, std::string> functions_;
  std::array<occurrence, oddities> odd_{};
  std::uint64_t line_ = 0;
  std::uint64_t others_ = 0;
};

}  // namespace tools
