// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <set>
#include <string>
#include <utility>
#include <vector>

module bench:campaign.impl;

import :campaign;
import :comparison;
import :contenders;
import :outcome;
import :random;
import :subject;
import :workload;

namespace bench {
namespace {

using who_list = std::vector<const contender*>;

/// Sentences, each once.
class notes {
 public:
  void add(const std::string& sentence) {
    if (said_.insert(sentence).second) sentences_.push_back(sentence);
  }
  [[nodiscard]] std::vector<std::string> take() { return std::move(sentences_); }

 private:
  std::set<std::string> said_;
  std::vector<std::string> sentences_;
};

comparison places(const plan& what, const who_list& present) {
  std::vector<comparison::column> columns;
  for (const contender* c : present) columns.push_back({c->name, c->what, c->peer, c->peer && c->shareable});
  std::vector<comparison::row> rows;
  for (const workload* w : what.workloads) {
    for (const char* figure : w->figures) {
      if (figure != nullptr) rows.push_back({figure, w->what, w->counted_in});
    }
  }
  return {std::move(columns), std::move(rows)};
}

void shuffle(who_list& list, random_numbers& random) {
  for (std::size_t i = list.size(); i > 1; --i) std::swap(list[i - 1], list[random.below(i)]);
}

}  // namespace

campaign_result run_campaign(const plan& what, const measurer& measure) {
  notes left_out;
  who_list present;
  for (const contender* c : what.contenders) {
    const outcome found = measure(nullptr, *c);
    if (found.what == outcome::kind::figures) {
      present.push_back(c);
    } else {
      left_out.add(std::string(c->name) + " is left out: " + found.why);
    }
  }
  for (const contender* c : present) {
    if (!c->shareable) left_out.add(std::string(c->name) + " is not shareable: for one thread only");
  }

  comparison figures = places(what, present);
  random_numbers random(what.seed);
  for (int round = 0; round < what.rounds; ++round) {
    for (const workload* w : what.workloads) {
      who_list order = present;
      shuffle(order, random);
      for (const contender* c : order) {
        if (w->threads > 1 && !c->shareable) continue;
        const outcome result = measure(w, *c);
        if (result.what == outcome::kind::wrong)
          throw wrong(std::string(c->name) + " in " + w->name + ": " + result.why);
        if (result.what != outcome::kind::figures) {
          left_out.add(std::string(c->name) + " is left out of " + w->name + ": " + result.why);
          continue;
        }
        for (std::size_t i = 0; i < result.figures.size(); ++i)
          figures.add(w->figures.at(i), c->name, result.figures[i]);
      }
    }
  }
  return {std::move(figures), left_out.take()};
}

}  // namespace bench
