// SPDX-License-Identifier: Apache-2.0
module;
#include <string>
#include <string_view>
#include <vector>

export module bench:outcome;

/// What came of one measurement, and the line in which one process tells it another.
export namespace bench {

struct outcome {
  enum class kind : unsigned char {
    figures,  ///< measured
    absent,   ///< the contender is not here
    cannot,   ///< the contender does not serve this workload as it should
    wrong,    ///< the contender's books contradict themselves
    failed,   ///< anything else
  };

  kind what = kind::failed;
  std::vector<double> figures;  ///< empty unless measured
  std::string why;              ///< empty when measured
};

/// One line, with its end.
[[nodiscard]] std::string to_line(const outcome& from);

/// What is no such line is a failed outcome that quotes it.
[[nodiscard]] outcome from_line(std::string_view line);

}  // namespace bench
