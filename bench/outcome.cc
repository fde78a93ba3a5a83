// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

module bench:outcome.impl;

import :outcome;

namespace bench {
namespace {

using kind = outcome::kind;

constexpr std::pair<kind, const char*> kWords[] = {{kind::figures, "figures"},
                                                   {kind::absent, "absent"},
                                                   {kind::cannot, "cannot"},
                                                   {kind::wrong, "wrong"},
                                                   {kind::failed, "failed"}};

}  // namespace

std::string to_line(const outcome& from) {
  std::string line;
  for (const auto& [what, word] : kWords) {
    if (what == from.what) line = word;
  }
  for (const double figure : from.figures) absl::StrAppendFormat(&line, " %.17g", figure);
  if (!from.why.empty()) absl::StrAppend(&line, " ", from.why);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line + '\n';
}

outcome from_line(std::string_view line) {
  const outcome unreadable{
      kind::failed, {}, absl::StrCat("said \"", absl::string_view(line.data(), line.size()), "\"")};
  if (line.empty() || line.back() != '\n') return unreadable;
  line.remove_suffix(1);
  const std::string_view first = line.substr(0, line.find(' '));
  const auto known =
      std::find_if(std::begin(kWords), std::end(kWords), [&](const auto& w) { return w.second == first; });
  if (known == std::end(kWords)) return unreadable;
  outcome result{known->first, {}, {}};
  line.remove_prefix(std::min(line.size(), first.size() + 1));
  if (result.what != kind::figures) {
    result.why = line;
    return result;
  }
  if (line.empty()) return result;
  for (const absl::string_view word : absl::StrSplit(absl::string_view(line.data(), line.size()), ' ')) {
    double figure = 0;
    if (!absl::SimpleAtod(word, &figure)) return unreadable;
    result.figures.push_back(figure);
  }
  return result;
}

}  // namespace bench
