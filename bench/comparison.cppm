// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

export module bench:comparison;

import :unit;

/// Figures of every contender in every workload, and how they compare. Absolute figures move with the machine; the
/// ratios of one run are what counts.
export namespace bench {

class comparison {
 public:
  struct column {
    std::string name;
    std::string what;
    bool peer;       ///< not ours
    bool reference;  ///< a peer that ratios are to: the least figure among these
  };
  struct row {
    std::string name;
    std::string what;
    unit counted_in;
  };

  comparison(std::vector<column> columns, std::vector<row> rows);

  [[nodiscard]] const std::vector<column>& columns() const noexcept { return columns_; }
  [[nodiscard]] const std::vector<row>& rows() const noexcept { return rows_; }

  /// One measurement. Pre: row and column are among those named at the start.
  void add(std::string_view row, std::string_view column, double figure);

  /// All measurements of that place, as they came.
  [[nodiscard]] const std::vector<double>& samples(std::size_t row, std::size_t column) const;

  /// Their median.
  [[nodiscard]] std::optional<double> figure(std::size_t row, std::size_t column) const;

  /// The reference with the least figure of the row.
  [[nodiscard]] std::optional<std::size_t> best(std::size_t row) const;

  /// Figure by that of another column; none where there is no such, either was not measured or the other is next to 0.
  [[nodiscard]] std::optional<double> ratio(std::size_t row, std::size_t column, std::string_view to) const;

  /// Figure by that of best(); none where there is no such or it is next to 0.
  [[nodiscard]] std::optional<double> ratio(std::size_t row, std::size_t column) const;

 private:
  std::vector<column> columns_;
  std::vector<row> rows_;
  std::vector<std::vector<std::vector<double>>> samples_;  // by row and column
};

}  // namespace bench
