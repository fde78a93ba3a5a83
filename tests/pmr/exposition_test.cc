// SPDX-License-Identifier: Apache-2.0
// Claims: any name is a valid JSON string and a valid label; layers of one name are told apart; several resources share
// one HELP and TYPE; what is not known is null or absent, not 0; dropped rows are counted; what no layer of the report
// has taken counts as handed out; pieces are bounded; writing allocates nothing. (Grammar and sums: exposition_forms_test.)
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory_resource>
#include <new>
#include <optional>
#include <string>
#include <string_view>

#include "tests/support/counting_default.h"

import strata.pmr;
import strata.mem;

namespace strata::pmr {
namespace {

struct collected {
  std::string text;
  std::size_t longest = 0;
  text_sink sink{[](void* to, const char* text, std::size_t bytes) noexcept {
                   auto* const self = static_cast<collected*>(to);
                   self->text.append(text, bytes);
                   self->longest = std::max(self->longest, bytes);
                 },
                 this};
};

std::string json_of(const report& r, std::string_view resource = "r") {
  collected out;
  write_json({resource, &r}, out.sink);
  return out.text;
}

std::string prometheus_of(const report& r, std::string_view resource = "r") {
  collected out;
  const exposed one{resource, &r};
  write_prometheus({&one, 1}, out.sink);
  return out.text;
}

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(Exposition, EscapesWhatTheFormsCannotHold) {
  report r;
  r.add("a\"b\\c\nd\te\x01", {}, {});
  EXPECT_TRUE(has(json_of(r), R"("layer": "a\"b\\c\nd\u0009e\u0001")")) << json_of(r);
  EXPECT_TRUE(has(prometheus_of(r), "layer=\"a\\\"b\\\\c\\nd\te\x01\"")) << prometheus_of(r);
}

TEST(Exposition, KeepsUtf8AndReplacesWhatIsNone) {
  const report r;
  EXPECT_TRUE(has(json_of(r, "größe €😀"), "\"größe €😀\""));
  for (const char* const broken : {"\x80", "\xC3", "\xC0\xAF", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\xE0\x9F\xBF"}) {
    const std::string text = json_of(r, broken);
    EXPECT_TRUE(has(text, "\"\xEF\xBF\xBD")) << text;
    EXPECT_FALSE(has(text, broken)) << text;
  }
  EXPECT_TRUE(has(json_of(r, "\xF4\x8F\xBF\xBF"), "\"\xF4\x8F\xBF\xBF\"")) << "the last character there is";
}

TEST(Exposition, TellsLayersOfOneNameApart) {
  report r;
  r.add("limit", {.live = 1}, {});
  r.add("limit", {.live = 2}, {});
  const std::string text = prometheus_of(r);
  EXPECT_TRUE(has(text, "strata_layer_live_bytes{resource=\"r\",layer=\"limit\",index=\"0\"} 1\n"));
  EXPECT_TRUE(has(text, "strata_layer_live_bytes{resource=\"r\",layer=\"limit\",index=\"1\"} 2\n"));
}

TEST(Exposition, WritesHelpAndTypeOnceForSeveralResources) {
  report first;
  report second;
  first.add("pages", {.live = 1}, {});
  second.add("pages", {.live = 2}, {});
  collected out;
  const std::array<exposed, 2> both{{{"items", &first}, {"buffers", &second}}};
  write_prometheus(both, out.sink);
  EXPECT_EQ(count(out.text, "# TYPE strata_layer_live_bytes gauge\n"), 1U);
  EXPECT_TRUE(has(out.text,
                  "strata_layer_live_bytes{resource=\"items\",layer=\"pages\",index=\"0\"} 1\n"
                  "strata_layer_live_bytes{resource=\"buffers\",layer=\"pages\",index=\"0\"} 2\n"))
      << out.text;
}

TEST(Exposition, DoesNotTakeTheUnknownForNothing) {
  report r;
  r.add("pages", {.live = 5, .upstream = 5}, {});
  EXPECT_TRUE(has(json_of(r), "\"resident\": null, \"peak\""));
  EXPECT_FALSE(has(prometheus_of(r), "strata_resident_bytes{"));
  EXPECT_FALSE(r.attribute().resident.has_value());
}

TEST(Exposition, KnowsWhatIsResidentWhenEverySourceTells) {
  report r;
  r.add("pages", {.live = 5, .upstream = 5}, {}, nullptr, 3);
  EXPECT_TRUE(has(prometheus_of(r), "strata_resident_bytes{resource=\"r\"} 3\n"));
  r.add("other pages", {.live = 5, .upstream = 5}, {});
  EXPECT_FALSE(r.attribute().resident.has_value());
}

TEST(Exposition, CountsRowsThatDidNotFit) {
  report r;
  for (std::size_t i = 0; i < report::max_rows + 5; ++i) r.add("row", {}, {});
  EXPECT_EQ(r.dropped(), 5U);
  EXPECT_TRUE(has(json_of(r), "\"dropped\": 5}"));
}

TEST(Exposition, WhatNoOtherLayerHasWasHandedToTheProgram) {
  page_resource source;
  limit_adaptor<page_resource, limit> upper(&source, {.bytes = 1 << 20});
  void* const through = upper.allocate(4096);
  void* const past = source.allocate(8192);
  report r;
  upper.collect(r);
  ASSERT_EQ(r.rows().size(), 2U);
  EXPECT_EQ(r.handed_out(r.rows()[0]), 8192U);
  EXPECT_EQ(r.handed_out(r.rows()[1]), 4096U);
  EXPECT_EQ(r.attribute().requested, 12288U);
  EXPECT_EQ(r.attribute().mapped, source.stats().upstream);
  source.deallocate(past, 8192);
  upper.deallocate(through, 4096);
}

TEST(Exposition, WritesBoundedPiecesAndAllocatesNothing) {
  stack memory{pages{}, slabs{}};
  void* const p = memory.allocate(100);
  std::size_t longest = 0;
  const text_sink sink{[](void* to, const char* /*text*/, std::size_t bytes) noexcept {
                         auto* const most = static_cast<std::size_t*>(to);
                         *most = std::max(*most, bytes);
                       },
                       &longest};
  const test::counting_default watch;
  memory.write_json(sink);
  memory.write_prometheus(sink);
  EXPECT_EQ(watch.used(), test::heap_use());
  EXPECT_GT(longest, 0U);
  EXPECT_LE(longest, 1024U);
  memory.deallocate(p, 100);
}

}  // namespace
}  // namespace strata::pmr
