// SPDX-License-Identifier: Apache-2.0
// Claims: numbers, packed numbers, texts and messages within have the bytes that protobuf's documentation shows; a number
// takes a byte for each seven bits, ten at most; what does not fit is told, and spoils what it was to be part of.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

import strata.pmr;

namespace strata::pmr {
namespace {

TEST(ProtobufMessage, HasTheBytesThatTheDocumentationShows) {
  protobuf_message a;  // Test1 { a: 150 }
  a.number(1, 150);
  EXPECT_EQ(a.bytes(), "\x08\x96\x01");
  protobuf_message b;  // Test2 { b: "testing" }
  b.text(2, "testing");
  EXPECT_EQ(b.bytes(), "\x12\x07testing");
  protobuf_message c;  // Test3 { c: { a: 150 } }
  c.message(3, a);
  EXPECT_EQ(c.bytes(), "\x1a\x03\x08\x96\x01");
  protobuf_message d;  // Test5 { f: [3, 270, 86942] }, packed
  d.numbers(6, std::array<std::uint64_t, 3>{3, 270, 86942});
  EXPECT_EQ(d.bytes(), "\x32\x06\x03\x8e\x02\x9e\xa7\x05");
}

TEST(ProtobufMessage, TakesAByteForEachSevenBits) {
  using namespace std::string_view_literals;
  protobuf_message zero;
  zero.number(1, 0);
  EXPECT_EQ(zero.bytes(), "\x08\x00"sv);
  protobuf_message edge;
  edge.number(1, 127);
  edge.number(1, 128);
  EXPECT_EQ(edge.bytes(), "\x08\x7f\x08\x80\x01"sv);
  protobuf_message most;
  most.number(16, UINT64_MAX);  // a field of two bytes
  EXPECT_EQ(most.bytes(), "\x80\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"sv);
  protobuf_message none;
  none.numbers(1, {});
  EXPECT_EQ(none.bytes(), ""sv);
}

TEST(ProtobufMessage, SaysWhenItDoesNotFit) {
  protobuf_message full;
  full.text(1, std::string(protobuf_message::capacity - 3, 'x'));
  EXPECT_TRUE(full.fits());
  EXPECT_EQ(full.bytes().size(), protobuf_message::capacity);
  full.number(1, 1);
  EXPECT_FALSE(full.fits());
  protobuf_message outer;
  outer.message(1, full);
  EXPECT_FALSE(outer.fits());
  protobuf_message later;
  later.text(1, std::string(protobuf_message::capacity, 'x'));
  EXPECT_FALSE(later.fits());
  later.number(1, 1);
  EXPECT_FALSE(later.fits());
}

}  // namespace
}  // namespace strata::pmr
