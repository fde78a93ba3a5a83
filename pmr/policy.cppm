// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory_resource>

export module strata.pmr:policy;

import :borrowed_resource;
import :large_page_adaptor;
import :locked_adaptor;
import :page_resource;
import :segment_resource;
import :stack;

/// Seven ready stacks, one for each kind of memory a pool may be made of: where it comes from, how large its pages are,
/// whether it stays in RAM.
///
///     auto memory = policy::c_locked();
///     object_pool<counter> counters(&memory);
///
/// What could not be had is said by each stack's degraded(), in write_report(); with `strict` it is an exception. What
/// they are made of, and so their contracts, is in the return types.
///
///     policy             from                       large pages        in RAM
///     cxx                operator new               no                 no
///     c_pageable         pages of the process       yes                no
///     c_locked           pages of the process       yes                locked
///     shared_ism         private shared segment     its own            yes, by its nature
///     shared_dism        private shared segment     no                 no; may be locked in pieces
///     shared_pageable    private shared segment     yes                no
///     shared_locked      private shared segment     yes                locked
///
/// Private segments are seen by this process and its children, and leave nothing behind.
export namespace strata::pmr::policy {

/// Global operator new, with the alignment asked for.
[[nodiscard]] inline stack<borrowed> cxx() {
  return stack<borrowed>(borrowed{.resource = std::pmr::new_delete_resource(), .name = "cxx"});
}

[[nodiscard]] inline stack<pages, large_pages> c_pageable(bool strict = false) {
  return stack<pages, large_pages>(pages{}, large_pages{.strict = strict});
}

[[nodiscard]] inline stack<pages, large_pages, locked> c_locked(bool strict = true) {
  return stack<pages, large_pages, locked>(pages{}, large_pages{}, locked{.strict = strict});
}

/// Refused where the OS can neither give large pages nor lock.
[[nodiscard]] inline stack<segments> shared_ism() {
  return stack<segments>(segments{.kind = segment_kind::ism, .name = "ism"});
}

[[nodiscard]] inline stack<segments> shared_dism() {
  return stack<segments>(segments{.kind = segment_kind::dism, .name = "dism"});
}

[[nodiscard]] inline stack<segments, large_pages> shared_pageable(bool strict = false) {
  return stack<segments, large_pages>(segments{}, large_pages{.strict = strict});
}

[[nodiscard]] inline stack<segments, large_pages, locked> shared_locked(bool strict = true) {
  return stack<segments, large_pages, locked>(segments{}, large_pages{}, locked{.strict = strict});
}

}  // namespace strata::pmr::policy
