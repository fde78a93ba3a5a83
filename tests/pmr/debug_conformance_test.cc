// SPDX-License-Identifier: Apache-2.0
// Claim: a debug_adaptor keeps the contract of a memory_resource (tests/support/README.md), alone and on top of stacks,
// whatever its flags.
#include <cstddef>
#include <memory_resource>

#include "tests/support/conformance.h"

import strata.pmr;

namespace strata::pmr {
namespace {

using test::Conformance;
using test::facts;
using test::facts_of;
using test::subject;
using test::subject_name;
using upstream = std::pmr::memory_resource;

using pages_slabs_debug = stack<pages, slabs, debug>;
using pages_heap_debug = stack<pages, heap, debug>;
using pages_heap_lock_debug = stack<pages, heap, synchronized, debug>;

// Says everything, to nobody.
debug talkative(debug_flags flags) {
  const text_sink nobody([](void*, const char*, std::size_t) noexcept {}, nullptr);
  return {.flags = flags, .hold_bytes = 512, .remembered = 16, .log_depth = 4, .print = nobody, .log = nobody};
}
constexpr debug_flags cheap = debug_flags::antagonism | debug_flags::tolerance | debug_flags::logging;
constexpr debug_flags costly = cheap | debug_flags::paranoia | debug_flags::verbosity | debug_flags::debugging;

// Blocks pass through: what is not deallocated stays with upstream.
template <class Layer>
facts passing() {
  return facts_of<Layer>({.returns_everything = false});
}
// A few blocks at a time: with all flags up, each call looks at all of them.
template <class Layer>
facts few() {
  return facts_of<Layer>({.returns_everything = false, .max_bytes = 512, .max_live_bytes = 1024});
}

INSTANTIATE_TEST_SUITE_P(
    Debug, Conformance,
    testing::Values(subject([](upstream* u) { return debug_adaptor(u); }, passing<debug_adaptor<>>(), "debug_adaptor"),
                    subject([](upstream* u) { return debug_adaptor(u, talkative(cheap)); }, passing<debug_adaptor<>>(),
                            "debug_adaptor_filling_and_logging"),
                    subject([](upstream* u) { return debug_adaptor(u, talkative(costly)); }, few<debug_adaptor<>>(),
                            "debug_adaptor_with_flags_up"),
                    subject([] { return pages_slabs_debug(pages{}, slabs{}, debug{}); }, passing<pages_slabs_debug>(),
                            "pages_slabs_debug"),
                    subject([] { return pages_heap_debug(pages{}, heap{}, debug{}); }, passing<pages_heap_debug>(),
                            "pages_heap_debug"),
                    subject([] { return pages_slabs_debug(pages{}, slabs{}, debug{.flags = debug_flags::noreuse}); },
                            passing<pages_slabs_debug>(), "pages_slabs_debug_holding_back"),
                    subject(
                        [] {
                          return pages_heap_lock_debug(pages{}, heap{}, synchronized{},
                                                       talkative(costly | debug_flags::noreuse));
                        },
                        few<pages_heap_lock_debug>(), "pages_heap_synchronized_debug_with_all_flags_up")),
    subject_name);

}  // namespace
}  // namespace strata::pmr
