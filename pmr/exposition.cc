// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <charconv>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

module strata.pmr:exposition.impl;

import :exposition;
import :report;
import :text_sink;

import strata.mem;

namespace strata::pmr {

namespace {

// Text on its way, in place.
class pieces {
 public:
  explicit pieces(const text_sink& out) noexcept : out_(out) {}
  ~pieces() { flush(); }
  pieces(const pieces&) = delete;
  pieces& operator=(const pieces&) = delete;

  pieces& operator<<(std::string_view text) noexcept {
    for (const char c : text) add(c);
    return *this;
  }
  pieces& operator<<(const char* text) noexcept { return *this << std::string_view(text); }
  pieces& operator<<(std::size_t number) noexcept {
    std::array<char, 24> digits;
    const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    return *this << std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data()));
  }
  void add(char c) noexcept {
    if (size_ == text_.size()) flush();
    text_[size_++] = c;
  }

 private:
  void flush() noexcept {
    if (size_ != 0) out_.write({text_.data(), size_});
    size_ = 0;
  }

  const text_sink& out_;
  std::array<char, 1024> text_;
  std::size_t size_ = 0;
};

bool continues(char c) noexcept { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80; }

// Bytes of the UTF-8 sequence that `text` starts with; 0: none.
std::size_t sequence(std::string_view text) noexcept {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (!continues(text[i])) return 0;
  }
  const auto second = static_cast<unsigned char>(text[1]);
  const bool too_long = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool no_character = (first == 0xED && second > 0x9F) || (first == 0xF4 && second > 0x8F);
  return too_long || no_character ? 0 : length;
}

// Any text as one in quotation marks. JSON alone knows \u; a label's value may hold any other character as it is.
void quote(pieces& out, std::string_view text, bool json) noexcept {
  constexpr std::string_view hex = "0123456789abcdef";
  out.add('"');
  while (!text.empty()) {
    const std::size_t length = sequence(text);
    const char c = text[0];
    const auto byte = static_cast<unsigned char>(c);
    if (length == 0) {
      out << "\xEF\xBF\xBD";
    } else if (c == '"' || c == '\\') {
      out.add('\\');
      out.add(c);
    } else if (c == '\n') {
      out << "\\n";
    } else if (json && byte < 0x20) {
      out << "\\u00";
      out.add(hex[byte >> 4U]);
      out.add(hex[byte & 0xFU]);
    } else {
      out << text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out.add('"');
}

void member(pieces& out, std::string_view name, std::size_t value) noexcept {
  out << ", \"" << name << "\": " << value;
}

void member(pieces& out, std::string_view name, std::optional<std::size_t> value) noexcept {
  if (value.has_value()) return member(out, name, *value);
  out << ", \"" << name << "\": null";
}

std::optional<std::size_t> row_or_none(std::size_t index) noexcept {
  if (index == report::no_row) return std::nullopt;
  return index;
}

void write_degraded(pieces& out, const degradation& d) noexcept {
  out << "{\"reason\": ";
  quote(out, d.reason, true);
  if (d.cause.failed()) {
    out << ", \"call\": ";
    quote(out, d.cause.call, true);
    out << ", \"error\": ";
    quote(out, mem::name_of(d.cause), true);
  }
  member(out, "times", d.times);
  out << "}";
}

void write_layer(pieces& out, const report& all, const report::row& r) noexcept {
  const statistics& s = r.figures;
  out << "{\"layer\": ";
  quote(out, r.name, true);
  member(out, "branch", r.branch);
  member(out, "first", row_or_none(r.first));
  member(out, "second", row_or_none(r.second));
  member(out, "live", s.live);
  member(out, "handed_out", all.handed_out(r));
  member(out, "kept", s.kept);
  member(out, "overhead", s.overhead);
  member(out, "upstream", s.upstream);
  member(out, "from_second", s.from_second);
  member(out, "from_outside", report::taken_from_outside(r));
  member(out, "resident", r.resident);
  member(out, "peak", s.peak);
  member(out, "live_blocks", s.live_blocks);
  member(out, "allocations", s.allocations);
  member(out, "failures", s.failures);
  out << ", \"degraded\": [";
  std::string_view between;
  for (const degradation& d : std::span(r.degraded).first(r.degradations)) {
    out << between;
    write_degraded(out, d);
    between = ", ";
  }
  out << "]}";
}

using value_of_row = std::optional<std::size_t> (*)(const report& all, const report::row& r) noexcept;
using value_of_all = std::optional<std::size_t> (*)(const attribution& a) noexcept;

template <class Value>
struct metric {
  std::string_view name;
  std::string_view type;
  std::string_view help;
  Value value;
};

template <std::size_t statistics::* Figure>
std::optional<std::size_t> figure(const report& /*all*/, const report::row& r) noexcept {
  return r.figures.*Figure;
}

template <std::size_t attribution::* Stage>
std::optional<std::size_t> stage(const attribution& a) noexcept {
  return a.*Stage;
}

constexpr std::array kOfLayers{
    metric<value_of_row>{"strata_layer_live_bytes", "gauge", "Bytes a layer has handed out, as asked for.",
                         &figure<&statistics::live>},
    metric<value_of_row>{"strata_layer_handed_out_bytes", "gauge",
                         "Of the bytes a layer has handed out, those no other layer of the resource has taken from it.",
                         [](const report& all, const report::row& r) noexcept -> std::optional<std::size_t> {
                           return all.handed_out(r);
                         }},
    metric<value_of_row>{"strata_layer_kept_bytes", "gauge", "Bytes a layer keeps ready to be handed out.",
                         &figure<&statistics::kept>},
    metric<value_of_row>{"strata_layer_overhead_bytes", "gauge",
                         "Bytes a layer spends on headers, rounding and fences.", &figure<&statistics::overhead>},
    metric<value_of_row>{"strata_layer_upstream_bytes", "gauge",
                         "Bytes a layer has from upstream: live, kept and overhead together.",
                         &figure<&statistics::upstream>},
    metric<value_of_row>{"strata_layer_outside_bytes", "gauge",
                         "Of the bytes a layer has from upstream, those from the system, or from a resource that is no "
                         "layer.",
                         [](const report& /*all*/, const report::row& r) noexcept -> std::optional<std::size_t> {
                           return report::taken_from_outside(r);
                         }},
    metric<value_of_row>{"strata_layer_resident_bytes", "gauge",
                         "Bytes in RAM of what a source has from the system, where it can tell.",
                         [](const report& /*all*/, const report::row& r) noexcept { return r.resident; }},
    metric<value_of_row>{"strata_layer_peak_bytes", "gauge", "Most bytes a layer had handed out at a time.",
                         &figure<&statistics::peak>},
    metric<value_of_row>{"strata_layer_live_blocks", "gauge", "Blocks a layer has handed out.",
                         &figure<&statistics::live_blocks>},
    metric<value_of_row>{"strata_layer_allocations_total", "counter", "Requests a layer has served.",
                         &figure<&statistics::allocations>},
    metric<value_of_row>{"strata_layer_failures_total", "counter", "Requests a layer could not serve.",
                         &figure<&statistics::failures>},
    metric<value_of_row>{"strata_layer_degradations", "gauge",
                         "States a layer is degraded by; the report in words says which.",
                         [](const report& /*all*/, const report::row& r) noexcept -> std::optional<std::size_t> {
                           return r.degradations;
                         }},
};

constexpr std::array kOfResources{
    metric<value_of_all>{"strata_requested_bytes", "gauge", "Bytes the program has, as asked for.",
                         &stage<&attribution::requested>},
    metric<value_of_all>{"strata_handed_out_bytes", "gauge",
                         "Bytes requested, with headers, rounding and fences of all layers above sources.",
                         &stage<&attribution::handed_out>},
    metric<value_of_all>{"strata_carved_bytes", "gauge", "Bytes handed out, with what layers above sources keep.",
                         &stage<&attribution::carved>},
    metric<value_of_all>{"strata_mapped_bytes", "gauge", "Bytes carved, with what sources round up and keep.",
                         &stage<&attribution::mapped>},
    metric<value_of_all>{"strata_resident_bytes", "gauge", "Bytes mapped that are in RAM, where all sources can tell.",
                         [](const attribution& a) noexcept { return a.resident; }},
};

template <class Value>
void write_head(pieces& out, const metric<Value>& m) noexcept {
  out << "# HELP " << m.name << " " << m.help << "\n# TYPE " << m.name << " " << m.type << "\n";
}

void write_samples(pieces& out, const metric<value_of_row>& m, const exposed& one) noexcept {
  std::size_t index = 0;
  for (const report::row& r : one.figures->rows()) {
    const std::optional<std::size_t> value = m.value(*one.figures, r);
    if (value.has_value()) {
      out << m.name << "{resource=";
      quote(out, one.resource, false);
      out << ",layer=";
      quote(out, r.name, false);
      out << ",index=\"" << index << "\"} " << *value << "\n";
    }
    ++index;
  }
}

void write_samples(pieces& out, const metric<value_of_all>& m, const exposed& one) noexcept {
  const std::optional<std::size_t> value = m.value(one.figures->attribute());
  if (!value.has_value()) return;
  out << m.name << "{resource=";
  quote(out, one.resource, false);
  out << "} " << *value << "\n";
}

}  // namespace

void write_json(const exposed& what, const text_sink& to) noexcept {
  pieces out(to);
  const report& all = *what.figures;
  out << "{\"resource\": ";
  quote(out, what.resource, true);
  out << ", \"layers\": [";
  std::string_view between = "\n  ";
  for (const report::row& r : all.rows()) {
    out << between;
    write_layer(out, all, r);
    between = ",\n  ";
  }
  const attribution totals = all.attribute();
  out << "],\n  \"totals\": {\"requested\": " << totals.requested;
  member(out, "handed_out", totals.handed_out);
  member(out, "carved", totals.carved);
  member(out, "mapped", totals.mapped);
  member(out, "resident", totals.resident);
  out << "}";
  member(out, "dropped", all.dropped());
  out << "}\n";
}

void write_prometheus(std::span<const exposed> all, const text_sink& to) noexcept {
  pieces out(to);
  const auto write = [&](const auto& metrics) {
    for (const auto& m : metrics) {
      write_head(out, m);
      for (const exposed& one : all) write_samples(out, m, one);
    }
  };
  write(kOfResources);
  write(kOfLayers);
}

}  // namespace strata::pmr
