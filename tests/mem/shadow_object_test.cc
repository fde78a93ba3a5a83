// SPDX-License-Identifier: Apache-2.0
// Claims: pieces are given away front to back, once; two mappings of a piece are one memory; what goes back reads as zero;
// an object is as large as the process may make it, and says when that is too small; a twin is as large, its pieces are
// taken, and a copy of a piece is a memory of its own; each refused call is an error, and nothing is left of it.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "tests/os_script/os_script.h"

import strata.mem;
import strata.platform;

namespace strata::mem {
namespace {

using test::os_call;
using test::os_script;

const std::size_t page = page_bytes();

struct ShadowObject : testing::Test {
  static constexpr std::size_t views = 8;

  ShadowObject() : base(static_cast<char*>(platform::reserve(views * page, page).base)) { EXPECT_NE(base, nullptr); }
  ~ShadowObject() override { EXPECT_FALSE(platform::unmap(base, views * page).failed()); }

  /// A page of an object, at one of the views.
  char* view(const shadow_object& of, std::uint64_t offset, std::size_t which) const {
    EXPECT_FALSE(of.map(offset, page, base + which * page).failed());
    return base + which * page;
  }

  char* const base;
  shadow_object object;
};

TEST_F(ShadowObject, GivesEachPieceAwayOnce) {
  EXPECT_FALSE(object.is_there());
  ASSERT_FALSE(object.make("test").failed());
  EXPECT_TRUE(object.is_there());
  EXPECT_EQ(object.take(2 * page), 0U);
  EXPECT_EQ(object.take(page), 2 * page);
  EXPECT_FALSE(object.give_back(0, 2 * page).failed());
  EXPECT_EQ(object.take(page), 3 * page);
  object.take_back(3 * page);
  EXPECT_EQ(object.take(2 * page), 3 * page) << "but for one that was not needed";
}

TEST_F(ShadowObject, IsOneMemoryInManyMappings) {
  ASSERT_FALSE(object.make("test").failed());
  const std::uint64_t piece = object.take(2 * page);
  char* const one = view(object, piece, 0);
  char* const other = view(object, piece, 5);
  one[100] = 'x';
  EXPECT_EQ(other[100], 'x');
  EXPECT_EQ(view(object, piece + page, 1)[100], 0);
  EXPECT_FALSE(object.give_back(piece, page).failed());
  EXPECT_EQ(one[100], 0);
  EXPECT_EQ(other[100], 0);
}

TEST_F(ShadowObject, IsAsLargeAsItMayBeAndSaysWhenThatIsTooSmall) {
  os_script script;
  for (unsigned nth = 1; nth <= 6; ++nth) script.fail(os_call::ftruncate, nth, EFBIG);
  ASSERT_FALSE(object.make("test").failed());
  const std::uint64_t size = std::uint64_t{1} << (60 - 2 * 6);
  EXPECT_EQ(object.take(size + page), shadow_object::no_offset);
  EXPECT_EQ(object.take(size), 0U);
  EXPECT_EQ(object.take(page), shadow_object::no_offset);
  EXPECT_EQ(shadow_object::too_small().code, EFBIG);
}

TEST_F(ShadowObject, HasATwinThatIsAMemoryOfItsOwn) {
  ASSERT_FALSE(object.make("test").failed());
  const std::size_t bytes = std::size_t{9} << 20;  // more than one view of who copies
  const std::uint64_t piece = object.take(bytes);
  char* const first = view(object, piece, 0);
  char* const last = view(object, piece + bytes - page, 1);
  first[0] = 'a';
  last[page - 1] = 'z';
  shadow_object twin;
  ASSERT_FALSE(twin.make_twin(object, "twin").failed());
  {
    shadow_object::copier pieces(object, twin);
    ASSERT_TRUE(pieces.copy(piece, bytes));
  }
  first[0] = 'b';
  EXPECT_EQ(view(twin, piece, 2)[0], 'a');
  EXPECT_EQ(view(twin, piece + bytes - page, 3)[page - 1], 'z');
  EXPECT_EQ(twin.take(page), bytes) << "its pieces are taken";
  object = std::move(twin);
  EXPECT_TRUE(object.is_there());
  EXPECT_EQ(object.take(page), bytes + page);
  EXPECT_EQ(view(object, piece, 4)[0], 'a');
}

TEST_F(ShadowObject, SaysWhichCallWasRefusedAndLeavesNothing) {
  for (const auto& [call, code] : {std::pair{os_call::memfd_create, EMFILE}, std::pair{os_call::ftruncate, EFBIG},
                                   std::pair{os_call::fcntl, EPERM}}) {
    os_script script;
    script.fail_always(call, code);
    EXPECT_EQ(object.make("test").code, code);
    EXPECT_FALSE(object.is_there());
    EXPECT_EQ(script.calls(os_call::close), call == os_call::memfd_create ? 0U : 1U);
  }
  ASSERT_FALSE(object.make("test").failed());
  const std::uint64_t piece = object.take(page);
  shadow_object twin;
  ASSERT_FALSE(twin.make_twin(object, "twin").failed());
  for (unsigned nth = 1; nth <= 3; ++nth) {  // the view, the one object, the other
    os_script script;
    script.fail(os_call::mmap, nth, ENOMEM);
    {
      shadow_object::copier pieces(object, twin);
      EXPECT_FALSE(pieces.copy(piece, page));
    }
    EXPECT_EQ(script.mapped_bytes(), 0U);
  }
}

}  // namespace
}  // namespace strata::mem
