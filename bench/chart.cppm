// SPDX-License-Identifier: Apache-2.0
module;
#include <string>

export module bench:chart;

import :comparison;

/// A comparison as a picture.
export namespace bench {

/// A bar chart in SVG: Strata's contenders by their ratio to the best peer of the row, on a logarithmic scale, with the
/// targets and the other peers marked. Rows without ratio are left out.
///
/// \param caption  below: which run it was
[[nodiscard]] std::string svg_chart(const comparison& from, const std::string& caption);

}  // namespace bench
