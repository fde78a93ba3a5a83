// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory_resource>

export module strata.pmr:fragment_part;

import :fragment_resource;

/// Fragments in the name of one owner, as an upstream of its own: what is taken here bears the tag.
///
/// A view: no layer, no figures. Thread class, alignment and errors are those of the fragments.
export namespace strata::pmr {

template <class Upstream = std::pmr::memory_resource>
class fragment_part final : public std::pmr::memory_resource {
 public:
  static constexpr bool thread_safe = true;
  static constexpr std::size_t max_alignment = fragment_resource<Upstream>::max_alignment;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = false;

  /// `of` is borrowed and outlives this object.
  fragment_part(fragment_resource<Upstream>* of, fragment_tag tag, bool critical = false) noexcept
      : of_(of), tag_(tag), critical_(critical) {}

  [[nodiscard]] fragment_tag tag() const noexcept { return tag_; }

 private:
  [[nodiscard]] void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    return of_->take(bytes, alignment, tag_, critical_);
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    of_->put(p, bytes, alignment, tag_);
  }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  fragment_resource<Upstream>* const of_;
  const fragment_tag tag_;
  const bool critical_;
};

template <class Upstream>
fragment_part(fragment_resource<Upstream>*, fragment_tag) -> fragment_part<Upstream>;
template <class Upstream>
fragment_part(fragment_resource<Upstream>*, fragment_tag, bool) -> fragment_part<Upstream>;

}  // namespace strata::pmr
