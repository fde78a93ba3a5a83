// SPDX-License-Identifier: Apache-2.0
// Claim: segment_resource, of every kind and below the layers that make sense above it, keeps the contract of a
// memory_resource (tests/support/README.md).
#include <atomic>
#include <cstdio>
#include <memory_resource>
#include <random>

#include "tests/support/conformance.h"

import strata.pmr;

namespace strata::pmr {
namespace {

using test::Conformance;
using test::facts;
using test::facts_of;
using test::subject;
using test::subject_name;

// Blocks pass through: what is not deallocated stays. A system has only so many segments (Linux: 4096), and threads of
// the suite that hand blocks on may hold more; segment_resource_test has threads of its own.
facts one_segment_a_block() {
  facts known = facts_of<segment_resource>({.returns_everything = false, .max_live_bytes = std::size_t{8} << 20U});
  known.thread_safe = false;
  return known;
}

// Several live at a time in one process: each needs a name of its own.
struct own_name {
  own_name() {
    static std::atomic<unsigned> number{0};
    std::snprintf(text, sizeof text, "/strata-conformance-%u-%u", token, number.fetch_add(1));
  }
  static inline const unsigned token = std::random_device{}();  // tests in sandboxes have the same process number
  char text[64];
};

struct named_heap {
  std::pmr::memory_resource& operator*() { return top; }
  void release() { top.release(); }
  own_name name;
  segment_resource source{{.kind = segment_kind::named, .object = name.text}};
  heap_resource<segment_resource> top{&source};
};

using segments_slabs = stack<segments, slabs>;
using segments_locked_slabs = stack<segments, locked, slabs>;

INSTANTIATE_TEST_SUITE_P(
    Segments, Conformance,
    testing::Values(
        subject([] { return segment_resource({.kind = segment_kind::pageable, .reserve = false}); },
                one_segment_a_block(), "pageable"),
        subject([] { return named_heap{}; }, facts_of<heap_resource<>>(), "named_heap"),
        subject([] { return segments_slabs(segments{.kind = segment_kind::dism}, slabs{}); },
                facts_of<segments_slabs>(), "dism_slabs"),
        subject([] { return segments_slabs(segments{.kind = segment_kind::sealed, .reserve = false}, slabs{}); },
                facts_of<segments_slabs>(), "sealed_slabs"),
        subject(
            [] {
              return segments_locked_slabs(segments{.kind = segment_kind::dism}, locked{.strict = false}, slabs{});
            },
            facts_of<segments_locked_slabs>(), "dism_locked_slabs")),
    subject_name);

}  // namespace
}  // namespace strata::pmr
