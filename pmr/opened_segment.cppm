// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>

export module strata.pmr:opened_segment;

import strata.mem;

/// A named segment that another process made, where that process has it.
///
/// No layer: it makes no bytes and hands none out. What a segment_resource of kind named gave out in one process can be
/// read and written here in another, at the same address, so that pointers into it hold. Whoever uses it agrees with the
/// maker on what is in it and on who writes when.
///
/// Owns           a mapping; name and memory are the maker's
/// Thread safety  none needed: nothing changes after construction
/// Throws         constructor: std::invalid_argument for a name that is none; std::system_error, in a sentence with the
///                name, when there is no such segment (ENOENT), it is not allowed (EACCES), its address is taken here
///                (EEXIST), or it is no finished segment of this version (EINVAL, ENOTSUP)
/// Fork           a child has it as well
/// Exit           ends the mapping; the segment stays
export namespace strata::pmr {

class opened_segment {
 public:
  explicit opened_segment(const char* object);
  ~opened_segment();
  opened_segment(const opened_segment&) = delete;
  opened_segment& operator=(const opened_segment&) = delete;

  /// The block, as the maker has it.
  [[nodiscard]] inline void* data() const noexcept { return segment_.payload; }
  /// Its bytes, as the maker asked for them.
  [[nodiscard]] inline std::size_t bytes() const noexcept { return segment_.payload_bytes; }

 private:
  mem::segment segment_;
};

/// Takes the name of a segment away whose maker was killed and could not. Who has it keeps it. Returns false when there
/// was nothing to take away. Throws as opened_segment.
bool remove_segment(const char* object);

}  // namespace strata::pmr
