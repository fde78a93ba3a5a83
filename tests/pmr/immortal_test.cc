// SPDX-License-Identifier: Apache-2.0
// Claims: an immortal is made in place, once, as its maker returns it, and never destroyed; one at function scope serves
// what is destroyed after everything else.
#include <gtest/gtest.h>

#include <cstddef>
#include <memory_resource>
#include <string>

import strata.pmr;

namespace strata::pmr {
namespace {

struct counted {
  explicit counted(int n) noexcept : number(n) { ++made; }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  ~counted() { ++destroyed; }

  int number;
  static inline int made = 0;
  static inline int destroyed = 0;
};

TEST(Immortal, IsMadeInPlaceAndNeverDestroyed) {
  {
    immortal object([] { return counted(7); });
    EXPECT_EQ(object->number, 7);
    EXPECT_EQ((*object).number, 7);
    EXPECT_EQ(static_cast<void*>(object.get()), static_cast<void*>(&object));
  }
  EXPECT_EQ(counted::made, 1);
  EXPECT_EQ(counted::destroyed, 0);
}

auto& memory() {
  static immortal made([] { return stack{pages{}, slabs{}}; });
  return *made;
}

// Static, and made before the memory is: destroyed after what is made later, were that destroyed.
struct last_user {
  ~last_user() {
    if (text != nullptr) {
      text->append(1000, 'x');
      text->~basic_string();
    }
  }
  alignas(std::pmr::string) std::byte place[sizeof(std::pmr::string)];
  std::pmr::string* text = nullptr;
} user;

TEST(Immortal, ServesWhatIsDestroyedLast) {
  user.text = ::new (user.place) std::pmr::string("longer than what a string keeps within itself", &memory());
  EXPECT_EQ(memory().stats().live_blocks, 1U);
}

}  // namespace
}  // namespace strata::pmr
