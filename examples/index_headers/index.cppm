// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory_resource>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

export module index_headers:index;

/// The inverted index: identifier → file → lines. Every byte of it, and of the work that builds it, comes from one
/// memory_resource.
export namespace index_headers {

class index {
 public:
  /// Where an identifier stands: ascending line numbers, each once.
  using line_list = std::pmr::vector<std::uint32_t>;

  explicit index(std::pmr::memory_resource* memory) : files_(memory), entries_(memory) {}

  /// Indexes one more file. Its words are first gathered in a table of its own, which is then merged and thrown away.
  void add(std::string_view file, std::string_view text);

  /// How much there is: file names, different identifiers, and (identifier, file, line) places.
  [[nodiscard]] std::size_t files() const { return files_.size(); }
  [[nodiscard]] std::size_t identifiers() const { return entries_.size(); }
  [[nodiscard]] std::size_t places() const { return places_; }

  /// Returns one line about an identifier: in how many places and files, and the first of them.
  [[nodiscard]] std::string answer(std::string_view identifier) const;

  /// Returns the identifier found in most files; of several, the first in alphabetical order. Empty when there is none.
  [[nodiscard]] std::string_view most_widespread() const;

  /// Returns a number made of every identifier, file name and line. Independent of the order of the hash table and of
  /// addresses.
  [[nodiscard]] std::uint64_t digest() const;

 private:
  /// Lets a table keyed by strings be searched with a piece of the text, without making a string.
  struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  template <class Value>
  using table = std::pmr::unordered_map<std::pmr::string, Value, text_hash, std::equal_to<>>;
  using postings = std::pmr::map<std::uint32_t, line_list>;

  std::pmr::vector<std::pmr::string> files_;  // by file number, in order of adding
  table<postings> entries_;                   // no list of lines is empty
  std::size_t places_ = 0;                    // sum of the sizes of all lists of lines
};

}  // namespace index_headers
