// SPDX-License-Identifier: Apache-2.0
module;
#include <string>
#include <vector>

export module bench:ratio_table;

/// Figures of every contender in every workload, and how they compare. Absolute figures move with the machine; the
/// ratios of one run are what counts.
export namespace bench {

class ratio_table {
 public:
  struct column {
    std::string name;
    bool reference;  ///< ratios are to the least figure among these
  };

  ratio_table(std::vector<column> columns, const std::vector<std::string>& rows);

  /// One measurement; of several for the same place the median counts. Pre: row and column are among those named at the
  /// start.
  void add(const std::string& row, const std::string& column, double figure);

  /// Returns the table: in each place the figure, with `decimals`, and its ratio to the best reference of the row. Rows
  /// without figures are left out.
  [[nodiscard]] std::string text(const std::string& title, int decimals) const;

 private:
  struct row {
    std::string name;
    std::vector<std::vector<double>> figures;  // by column
  };

  std::vector<column> columns_;
  std::vector<row> rows_;
};

}  // namespace bench
