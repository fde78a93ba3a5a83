// SPDX-License-Identifier: Apache-2.0
module;
#include <span>
#include <string_view>

export module strata.pmr:exposition;

import :report;
import :text_sink;

/// Reports for programs: JSON, and the text format that Prometheus reads. Values only, collected before: nothing is
/// locked, nothing allocated. The sink gets pieces of up to a KiB, which need not end with a line.
///
/// Any thread; not for signal handlers.
export namespace strata::pmr {

/// A report and which memory it is about.
struct exposed {
  std::string_view resource;  ///< any text; what is not UTF-8 becomes U+FFFD
  const report* figures;      ///< never null
};

/// Writes one object and a line's end: "resource"; "layers", source first, with the figures of `statistics`, what is
/// handed out to the program, rows they stand on (null: none), "resident" (null: unknown), "degraded"; "totals", as
/// `attribution`; "dropped".
void write_json(const exposed& what, const text_sink& out) noexcept;

/// Writes metrics in Prometheus' text format 0.0.4, each with HELP and TYPE once, for all these reports. Those of layers
/// are strata_layer_…, with the labels `resource`, `layer` and `index`, which is that of the row and tells layers of one
/// name apart; those of whole resources have the label `resource` alone. What is not known is not there.
/// Pre: no two resources are of one name.
void write_prometheus(std::span<const exposed> all, const text_sink& out) noexcept;

}  // namespace strata::pmr
