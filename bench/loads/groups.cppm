// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <string>
#include <string_view>
#include <vector>

export module bench:groups;

import :random;
import :workload;

/// Three kinds of programs, by how much they do for each block they allocate: a server, a utility, and what does little
/// else than allocate. What they compute is used, so that no compiler leaves it out.
export namespace bench {

/// Few blocks, much work. One operation is a request that a server answers: it is taken into a buffer and parsed, the path
/// is decoded, a document of 16 KiB goes out escaped and with a checksum through a buffer of 4 KiB, and a line of a log is
/// written. Five blocks, tens of microseconds.
class server_load final : public load {
 public:
  explicit server_load(std::pmr::memory_resource* memory);
  std::uint64_t run(std::uint64_t operations) override;

  [[nodiscard]] std::uint64_t checksum() const noexcept { return checksum_; }

 private:
  void answer(std::string_view received);

  std::pmr::memory_resource* memory_;
  std::vector<std::string> requests_;  // as clients send them
  std::string document_;
  std::array<char, 4096> sent_{};  // what a socket would take
  std::size_t next_ = 0;
  std::uint64_t checksum_ = 0;
};

/// A block for some work. One operation is a line of a text that is read line by line into a vector of strings; words are
/// counted, the lines sorted and written in lower case. Half a microsecond or so.
class utility_load final : public load {
 public:
  utility_load(std::pmr::memory_resource* memory, std::size_t lines);
  std::uint64_t run(std::uint64_t operations) override;

  [[nodiscard]] std::uint64_t checksum() const noexcept { return checksum_; }

 private:
  std::pmr::memory_resource* memory_;
  std::size_t lines_;
  std::string text_;
  std::string written_;
  std::array<std::uint32_t, 1024> counts_{};  // of words, by hash
  std::uint64_t checksum_ = 0;
};

/// Next to no work. One operation is a node of a binary tree of 32 bytes each that is built, added up and taken down.
class tree_load final : public load {
 public:
  tree_load(std::pmr::memory_resource* memory, std::size_t nodes) : memory_(opaque(memory)), nodes_(nodes) {}
  std::uint64_t run(std::uint64_t operations) override;

  [[nodiscard]] std::uint64_t checksum() const noexcept { return checksum_; }

 private:
  std::pmr::memory_resource* memory_;
  std::size_t nodes_;
  std::uint64_t checksum_ = 0;
};

}  // namespace bench
