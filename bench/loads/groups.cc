// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

module bench:groups.impl;

import :groups;
import :random;
import :workload;

namespace bench {
namespace {

constexpr std::size_t kRequests = 64;
constexpr std::size_t kHeaders = 12;
constexpr std::size_t kDocument = 16384;

/// Fowler, Noll and Vo's, byte by byte.
std::uint64_t checksum_of(std::string_view bytes, std::uint64_t so_far) {
  for (const char c : bytes) so_far = (so_far ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return so_far;
}

/// Words of 2 to 11 letters, now and then one with a capital, separated by `between`.
std::string words(random_numbers& random, std::size_t bytes, std::string_view between) {
  std::string text;
  while (text.size() < bytes) {
    const std::size_t letters = 2 + random.below(10);
    const bool capital = random.below(8) == 0;
    for (std::size_t i = 0; i < letters; ++i) {
      const char first = i == 0 && capital ? 'A' : 'a';
      text += static_cast<char>(first + static_cast<char>(random.below(26)));
    }
    text += between[random.below(between.size())];
  }
  text.resize(bytes);
  return text;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Takes the text up to `end` off its front, and `end` with it.
std::string_view take_until(std::string_view& text, char end) {
  const std::size_t at = text.find(end);
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return taken;
}

struct node {
  node* left;
  node* right;
  std::uint64_t value;
  std::uint64_t padding;
};

node* build(std::pmr::memory_resource& memory, std::size_t nodes) {
  if (nodes == 0) return nullptr;
  const std::size_t left = (nodes - 1) / 2;
  node* const made = ::new (memory.allocate(sizeof(node), alignof(node))) node{nullptr, nullptr, nodes, 0};
  made->left = build(memory, left);
  made->right = build(memory, nodes - 1 - left);
  return made;
}

std::uint64_t add_up(const node* tree) {
  return tree == nullptr ? 0 : tree->value + add_up(tree->left) + add_up(tree->right);
}

void take_down(std::pmr::memory_resource& memory, node* tree) {
  if (tree == nullptr) return;
  take_down(memory, tree->left);
  take_down(memory, tree->right);
  memory.deallocate(tree, sizeof(node), alignof(node));
}

}  // namespace

server_load::server_load(std::pmr::memory_resource* memory) : memory_(opaque(memory)) {
  random_numbers random(7);
  document_ = words(random, kDocument, "        ,,,,\n<>&");
  for (std::size_t i = 0; i < kRequests; ++i) {
    std::string& request = requests_.emplace_back("GET /" + words(random, 30, "/") + "%20" + words(random, 10, "/"));
    request += " HTTP/1.1\r\n";
    for (std::size_t h = 0; h < kHeaders; ++h) {
      request += words(random, 10, "-") + ": " + words(random, 20 + random.below(100), " ,;") + "\r\n";
    }
    request += "\r\n";
  }
}

std::uint64_t server_load::run(std::uint64_t operations) {
  for (std::uint64_t i = 0; i < operations; ++i) {
    answer(requests_[next_]);
    next_ = (next_ + 1) % requests_.size();
  }
  return operations;
}

void server_load::answer(std::string_view received) {
  const std::pmr::string request(received, memory_);
  std::string_view rest = request;
  std::string_view line = take_until(rest, '\r');
  take_until(line, ' ');
  const std::string_view asked = take_until(line, ' ');

  std::pmr::vector<std::pair<std::string_view, std::string_view>> headers(memory_);
  headers.reserve(2 * kHeaders);
  for (rest.remove_prefix(1); !rest.starts_with('\r'); rest.remove_prefix(1)) {
    std::string_view header = take_until(rest, '\r');
    const std::string_view name = take_until(header, ':');
    headers.emplace_back(name, header);
  }

  std::pmr::string path(memory_);
  path.reserve(asked.size());
  for (std::size_t i = 0; i < asked.size(); ++i) {
    if (asked[i] == '%' && i + 2 < asked.size()) {
      path += static_cast<char>((asked[i + 1] - '0') * 16 + (asked[i + 2] - '0'));
      i += 2;
    } else {
      path += asked[i];
    }
  }

  std::pmr::vector<char> buffer(memory_);
  buffer.reserve(sent_.size());
  std::uint64_t sum = checksum_;
  const auto send = [&] {
    sum = checksum_of({buffer.data(), buffer.size()}, sum);
    std::copy(buffer.begin(), buffer.end(), sent_.begin());
    buffer.clear();
  };
  const auto put = [&](std::string_view piece) {
    if (buffer.size() + piece.size() > sent_.size()) send();
    buffer.insert(buffer.end(), piece.begin(), piece.end());
  };
  for (std::string_view left = document_; !left.empty();) {
    const auto special =
        std::find_if(left.begin(), left.end(), [](char c) { return c == '<' || c == '>' || c == '&'; });
    const auto plain = static_cast<std::size_t>(special - left.begin());
    put(left.substr(0, plain));
    left.remove_prefix(plain);
    if (left.empty()) break;
    put(left[0] == '<' ? "&lt;" : left[0] == '>' ? "&gt;" : "&amp;");
    left.remove_prefix(1);
  }
  send();

  std::pmr::string log(memory_);
  log.reserve(100);
  log += path;
  log += headers.back().first;
  checksum_ = checksum_of(log, sum);
}

utility_load::utility_load(std::pmr::memory_resource* memory, std::size_t lines)
    : memory_(opaque(memory)), lines_(lines) {
  random_numbers random(8);
  for (std::size_t i = 0; i < lines; ++i) text_ += words(random, 40 + random.below(80), " ,") + '\n';
  written_.reserve(text_.size());
}

std::uint64_t utility_load::run(std::uint64_t operations) {
  std::uint64_t done = 0;
  for (; done < operations; done += lines_) {
    std::pmr::vector<std::pmr::string> lines(memory_);
    for (std::string_view rest = text_; !rest.empty();) {
      lines.emplace_back(take_until(rest, '\n'));
      for (std::string_view words_left = lines.back(); !words_left.empty();) {
        ++counts_[checksum_of(take_until(words_left, ' '), 0) % counts_.size()];
      }
    }
    std::sort(lines.begin(), lines.end());
    written_.clear();
    for (const std::pmr::string& line : lines) {
      for (const char c : line) written_ += lower(c);
      written_ += '\n';
    }
    checksum_ +=
        static_cast<unsigned char>(written_[checksum_ % written_.size()]) + counts_[checksum_ % counts_.size()];
  }
  return done;
}

std::uint64_t tree_load::run(std::uint64_t operations) {
  std::uint64_t done = 0;
  for (; done < operations; done += nodes_) {
    node* const tree = build(*memory_, nodes_);
    checksum_ += add_up(tree);
    take_down(*memory_, tree);
  }
  return done;
}

}  // namespace bench
