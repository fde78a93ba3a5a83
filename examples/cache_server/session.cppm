// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <span>
#include <string_view>

export module cache_server:session;

import :buffer;
import :command;
import :conversation;
import :item;
import :service;

/// A client that speaks the memcached text protocol.
export namespace cache_server {

class session final : public conversation {
 public:
  static constexpr std::size_t longest_line = 2048;                  ///< bytes
  static constexpr std::size_t longest_get = std::size_t{64} << 10;  ///< bytes; of lines with keys

  session(service& all, std::pmr::memory_resource* buffers) noexcept
      : conversation(buffers), all_(all), input_(buffers) {}
  ~session() override;

  [[nodiscard]] std::span<char> room() override;
  void received(std::size_t bytes) override;
  void work() override;
  [[nodiscard]] std::size_t bytes() const noexcept override { return sizeof(*this); }

 private:
  enum class state : std::uint8_t {
    line,     ///< of a command
    keys,     ///< of a get whose line is still in the input
    value,    ///< of an item that is being stored
    swallow,  ///< a value that is not stored
  };

  bool read_line();
  void obey(const command& c);
  void begin_value(const command& c);
  bool take_value();
  bool swallow();
  void give_keys();
  void count(const command& c);
  void reply(std::string_view text);
  void reply(stored outcome);

  service& all_;
  buffer input_;
  std::uint32_t now_ = 0;
  state state_ = state::line;
  bool noreply_ = false;
  bool with_unique_ = false;
  verb storing_ = verb::unknown;
  item* incoming_ = nullptr;     ///< in state value
  std::uint64_t unique_ = 0;     ///< for cas
  std::size_t missing_ = 0;      ///< bytes of the value, CR LF included, still to come
  std::size_t line_bytes_ = 0;   ///< in state keys: of the line, its end included
  std::size_t keys_done_ = 0;    ///< of the line, how much is
  const char* after_ = nullptr;  ///< what to say when all is swallowed
};

/// When something expires that was sent to expire so: relative up to 30 days, else absolute; negative: at once; 0: never.
[[nodiscard]] std::uint32_t expiry(std::int64_t sent, std::uint32_t now) noexcept;

}  // namespace cache_server
