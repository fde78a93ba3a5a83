// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

export module cache_server:item;

/// What is stored under a key.
///
///   | item | key | value | CR LF |      one block; the value ends as it does on the wire
export namespace cache_server {

struct item {
  item* next = nullptr;       ///< in its bucket
  item* newer = nullptr;      ///< used later
  item* older = nullptr;      ///< used earlier
  std::uint64_t unique = 0;   ///< another one with each change
  std::uint32_t expires = 0;  ///< seconds since 1970; 0: never
  std::uint32_t flags = 0;
  std::uint32_t value_bytes = 0;  ///< without CR LF
  std::uint8_t key_bytes = 0;

  [[nodiscard]] static constexpr std::size_t bytes_for(std::size_t key, std::size_t value) noexcept {
    return sizeof(item) + key + value + 2;
  }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_for(key_bytes, value_bytes); }
  [[nodiscard]] char* text() noexcept { return reinterpret_cast<char*>(this + 1); }
  [[nodiscard]] const char* text() const noexcept { return reinterpret_cast<const char*>(this + 1); }
  [[nodiscard]] std::string_view key() const noexcept { return {text(), key_bytes}; }
  [[nodiscard]] std::string_view value() const noexcept { return {text() + key_bytes, value_bytes}; }
  /// The value's bytes and those of its CR LF.
  [[nodiscard]] std::span<char> wire() noexcept { return {text() + key_bytes, std::size_t{value_bytes} + 2}; }
  [[nodiscard]] std::string_view wire() const noexcept { return {text() + key_bytes, std::size_t{value_bytes} + 2}; }
};

}  // namespace cache_server
