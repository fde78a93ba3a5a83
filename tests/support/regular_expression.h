// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <regex.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace strata::test {

/// An extended regular expression of POSIX, over texts without zeros. A unit with std::regex takes seconds to compile.
class regular_expression {
 public:
  explicit regular_expression(const std::string& expression) {
    if (::regcomp(&compiled_, expression.c_str(), REG_EXTENDED) != 0) {
      throw std::invalid_argument("regular_expression: cannot be compiled: " + expression);
    }
  }
  ~regular_expression() { ::regfree(&compiled_); }
  regular_expression(const regular_expression&) = delete;
  regular_expression& operator=(const regular_expression&) = delete;

  [[nodiscard]] bool is_in(const std::string& text) const { return !search(text).empty(); }

  /// The first match and its groups, or nothing.
  [[nodiscard]] std::vector<std::string> search(const std::string& text) const {
    std::vector<::regmatch_t> found(compiled_.re_nsub + 1);
    if (::regexec(&compiled_, text.c_str(), found.size(), found.data(), 0) != 0) return {};
    std::vector<std::string> groups;
    for (const auto& [from, to] : found) {
      groups.push_back(from < 0 ? ""
                                : text.substr(static_cast<std::size_t>(from), static_cast<std::size_t>(to - from)));
    }
    return groups;
  }

  /// Every match, from left to right; none of them empty.
  [[nodiscard]] std::vector<std::string> all(const std::string& text) const {
    std::vector<std::string> matches;
    ::regmatch_t found{};
    for (const char* at = text.c_str(); ::regexec(&compiled_, at, 1, &found, 0) == 0; at += found.rm_eo) {
      if (found.rm_eo == found.rm_so) break;
      matches.emplace_back(at + found.rm_so, at + found.rm_eo);
    }
    return matches;
  }

 private:
  ::regex_t compiled_{};
};

}  // namespace strata::test
