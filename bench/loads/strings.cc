// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

module bench:strings.impl;

import :random;
import :strings;
import :workload;

namespace bench {

random_text::random_text() { std::fill(std::begin(text_), std::end(text_), 'x'); }

// The upper bits of these numbers are the good ones: they give the length, all of them the text.
std::string_view random_text::of(std::uint64_t number) {
  std::memcpy(text_, &number, sizeof number);
  return {text_, 24 + static_cast<std::size_t>((number >> 32) * 81 >> 32)};
}

umap_strings_load::umap_strings_load(std::pmr::memory_resource* memory, std::size_t keys)
    : keys_(keys), map_(opaque(memory)) {
  for (std::uint64_t& key : keys_) {
    key = random_.next();
    map_.emplace(text_.of(key), key);
  }
}

std::uint64_t umap_strings_load::run(std::uint64_t operations) {
  const auto string = [this](std::uint64_t key) {
    return std::pmr::string(text_.of(key), map_.get_allocator().resource());
  };
  for (std::uint64_t i = 0; i < operations; ++i) {
    const std::uint64_t key = random_.next();
    map_.emplace(text_.of(key), i);
    ++map_.find(string(keys_[random_.below(keys_.size())]))->second;
    std::uint64_t& old = keys_[random_.below(keys_.size())];
    map_.erase(string(old));
    old = key;
  }
  return operations;
}

std::uint64_t vector_strings_load::run(std::uint64_t operations) {
  std::uint64_t done = 0;
  do {
    random_numbers random(6);
    std::pmr::vector<std::pmr::string> built(memory_);
    for (std::size_t i = 0; i < strings_; ++i) built.emplace_back(text_.of(random.next()));
    done += strings_;
  } while (done < operations);
  return done;
}

}  // namespace bench
