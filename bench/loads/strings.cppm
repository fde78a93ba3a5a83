// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

export module bench:strings;

import :random;
import :workload;

/// Containers of strings that are too long to lie in their objects.
export namespace bench {

/// Text of 24 to 104 characters, a different one for each number.
class random_text {
 public:
  random_text();
  [[nodiscard]] std::string_view of(std::uint64_t number);

 private:
  char text_[105];
};

/// A hash map from strings: one operation inserts a new key, finds one that is there, and erases one.
class umap_strings_load final : public load {
 public:
  umap_strings_load(std::pmr::memory_resource* memory, std::size_t keys);
  std::uint64_t run(std::uint64_t operations) override;

 private:
  using map = std::pmr::unordered_map<std::pmr::string, std::uint64_t>;

  random_text text_;
  random_numbers random_{4};
  std::vector<std::uint64_t> keys_;  // those in map_, by number
  map map_;
};

/// A vector of strings that is built, growing, and destroyed: one operation is one string.
class vector_strings_load final : public load {
 public:
  vector_strings_load(std::pmr::memory_resource* memory, std::size_t strings)
      : memory_(opaque(memory)), strings_(strings) {}
  std::uint64_t run(std::uint64_t operations) override;

 private:
  std::pmr::memory_resource* memory_;
  std::size_t strings_;
  random_text text_;
};

}  // namespace bench
