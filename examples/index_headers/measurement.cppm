// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

export module index_headers:measurement;

import :memories;

/// The measured job: index all files in one memory, ask, tear down.
export namespace index_headers {

struct measurement {
  std::uint64_t build_ns = 0;    ///< processor time of the indexing alone; reading files is outside
  std::uint64_t destroy_ns = 0;  ///< processor time of destroying index and memory
  std::uint64_t peak_bytes =
      0;  ///< growth of the resident set at its highest, from before the index to after its last file
  std::uint64_t allocations = 0;  ///< requests of the containers; only when counting
  std::uint64_t asked_bytes = 0;  ///< live bytes the containers had asked for, at most; only when counting
  std::uint64_t files = 0;
  std::uint64_t identifiers = 0;
  std::uint64_t places = 0;
  std::uint64_t digest = 0;
  std::vector<std::string> answers;  ///< one line a query
  std::string report;                ///< what the memory says about itself while the index lives; may be empty
};

/// What of a measurement must be the same in every memory.
[[nodiscard]] bool same_index(const measurement& a, const measurement& b);

/// `timing` leaves the memory alone; `counting` puts a counting_resource over it, and `dumping` writes its heap to a
/// file, with the index in it: these are no runs to take times from.
enum class mode { timing, counting, dumping };

struct work_order {
  const memory* where = nullptr;
  mode how = mode::timing;
  std::size_t largest_file = 0;  ///< bytes; room for reading is made before anything is measured
  std::string dump;              ///< file to write, when dumping
  std::vector<std::string> files;
  std::vector<std::string> queries;
};

/// Does the job once, in the calling thread, and tells `progress` the number of files done, about a hundred times.
/// Fails when a file can no longer be read or the dump not be written, or when the memory runs out.
[[nodiscard]] absl::StatusOr<measurement> measure(const work_order& order,
                                                  const std::function<void(std::size_t)>& progress);

/// A measurement as lines of `key value`, text with C escapes, and back. parse_line() is given one line at a time,
/// without its end; false when it is none of these.
void write_lines(const measurement& result, std::FILE* out);
[[nodiscard]] bool parse_line(std::string_view line, measurement& result);

}  // namespace index_headers
