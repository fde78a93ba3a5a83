// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory_resource>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

module index_headers:index.impl;

import :index;
import :tokenizer;

namespace index_headers {
namespace {

/// Entry of `key`, made with an empty value when there is none yet.
template <class Table>
typename Table::mapped_type& entry(Table& table, std::string_view key) {
  auto found = table.find(key);
  if (found == table.end()) {
    found = table.emplace(std::piecewise_construct, std::forward_as_tuple(key), std::forward_as_tuple()).first;
  }
  return found->second;
}

/// FNV-1a over bytes, taken on from `hash`.
std::uint64_t fnv(std::uint64_t hash, std::string_view bytes) {
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
  return hash;
}

std::uint64_t fnv(std::uint64_t hash, std::uint32_t number) {
  for (unsigned shift = 0; shift < 32; shift += 8) hash = (hash ^ (number >> shift & 0xffU)) * 0x100000001b3U;
  return hash;
}

constexpr std::uint64_t kFnvStart = 0xcbf29ce484222325U;

}  // namespace

void index::add(std::string_view file, std::string_view text) {
  const auto number = static_cast<std::uint32_t>(files_.size());
  files_.emplace_back(file);

  table<line_list> words(files_.get_allocator().resource());
  for_each_identifier(text, [&](std::string_view word, std::uint32_t line) {
    line_list& lines = entry(words, word);
    if (lines.empty() || lines.back() != line) lines.push_back(line);
  });
  for (auto& [word, lines] : words) {
    places_ += lines.size();
    postings& known = entry(entries_, word);
    known.emplace_hint(known.end(), number, std::move(lines));
  }
}

std::string index::answer(std::string_view identifier) const {
  const auto found = entries_.find(identifier);
  if (found == entries_.end()) return absl::StrCat(std::string(identifier), ": nowhere");
  const postings& where = found->second;
  std::size_t count = 0;
  for (const auto& [file, lines] : where) count += lines.size();
  const auto& [file, lines] = *where.begin();
  return absl::StrCat(std::string(identifier), ": ", count, count == 1 ? " line in " : " lines in ", where.size(),
                      where.size() == 1 ? " file" : " files", ", first ", files_[file], ":", lines.front());
}

std::string_view index::most_widespread() const {
  std::string_view best;
  std::size_t most = 0;
  for (const auto& [identifier, where] : entries_) {
    if (where.size() > most || (where.size() == most && identifier < best)) {
      best = identifier;
      most = where.size();
    }
  }
  return best;
}

std::uint64_t index::digest() const {
  std::uint64_t sum = 0;
  for (const auto& [identifier, where] : entries_) {
    // A sum does not care for order; within one identifier files and lines are in order.
    std::uint64_t hash = fnv(kFnvStart, identifier);
    for (const auto& [file, lines] : where) {
      hash = fnv(fnv(hash, files_[file]), static_cast<std::uint32_t>(lines.size()));
      for (const std::uint32_t line : lines) hash = fnv(hash, line);
    }
    sum += hash;
  }
  return sum;
}

}  // namespace index_headers
