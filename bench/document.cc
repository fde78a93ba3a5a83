// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <string>
#include <vector>

module bench:document.impl;

import :comparison;
import :document;
import :json;
import :targets;
import :unit;

namespace bench {
namespace {

void write_run(json_writer& out, const run_facts& facts) {
  out.key("run");
  out.open('{');
  out.field("seed", std::to_string(facts.seed));  // as text: a double does not hold every seed
  out.field("rounds", static_cast<double>(facts.rounds));
  out.field("share_of_operations", facts.share);
  out.field("seconds", facts.seconds);
  out.field("processor", facts.processor);
  out.field("processors", static_cast<double>(facts.processors));
  out.close('}');
}

void write_contender(json_writer& out, const comparison::column& who) {
  out.open('{');
  out.field("name", who.name);
  out.field("what", who.what);
  out.field("peer", who.peer);
  out.field("reference", who.reference);
  out.close('}');
}

void write_place(json_writer& out, const comparison& from, std::size_t row, std::size_t column) {
  const auto figure = from.figure(row, column);
  if (!figure) return;
  out.key(from.columns()[column].name);
  out.open('{');
  out.field("figure", *figure);
  if (const auto ratio = from.ratio(row, column)) out.field("ratio", *ratio);
  out.key("samples");
  out.open('[');
  for (const double sample : from.samples(row, column)) out.value(sample);
  out.close(']');
  out.close('}');
}

void write_row(json_writer& out, const comparison& from, std::size_t row) {
  const auto& r = from.rows()[row];
  out.open('{');
  out.field("name", r.name);
  out.field("what", r.what);
  out.field("unit", name_of(r.counted_in));
  if (const auto best = from.best(row)) out.field("best_peer", from.columns()[*best].name);
  if (const auto aim = find_target(r.name)) {
    out.field("target", aim->most);
    out.field("target_is_ratio", aim->of_ratio);
  }
  out.key("contenders");
  out.open('{');
  for (std::size_t c = 0; c < from.columns().size(); ++c) write_place(out, from, row, c);
  out.close('}');
  out.close('}');
}

}  // namespace

std::string json_document(const comparison& from, const run_facts& facts, const std::vector<std::string>& left_out) {
  json_writer out;
  out.open('{');
  write_run(out, facts);
  out.key("left_out");
  out.open('[');
  for (const std::string& sentence : left_out) out.value(sentence);
  out.close(']');
  out.key("contenders");
  out.open('[');
  for (const auto& c : from.columns()) write_contender(out, c);
  out.close(']');
  out.key("rows");
  out.open('[');
  for (std::size_t r = 0; r < from.rows().size(); ++r) write_row(out, from, r);
  out.close(']');
  out.close('}');
  return out.text() + "\n";
}

}  // namespace bench
