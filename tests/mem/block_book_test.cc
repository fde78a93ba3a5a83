// SPDX-License-Identifier: Apache-2.0
// Claims: answers are those of a trivial model, whatever comes and goes, through every growth; a promise that is refused,
// by the OS or by the limit, changes nothing, and one that was given cannot fail; what is gone is remembered up to a
// number, the oldest forgotten first, and gives way when there is no memory; held blocks come oldest first; stacks stay
// with their entry; nothing is left mapped.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <vector>

#include "tests/os_script/os_script.h"

import strata.mem;

namespace strata::mem {
namespace {

book_entry* add(block_book& book, std::uintptr_t block, std::size_t bytes = 16, std::size_t front = 16) {
  const auto [entry, refused] = book.promise();
  EXPECT_NE(entry, nullptr);
  entry->block = block;
  entry->bytes = bytes;
  entry->front = front;
  entry->whole = front + bytes;
  book.enter(entry);
  return entry;
}

TEST(BlockBook, AnswersAsAModelDoes) {
  const std::uint64_t seed = 11;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  block_book book(4, SIZE_MAX, SIZE_MAX);
  std::map<std::uintptr_t, book_state> model;
  const auto state_of = [&](std::uintptr_t block) {
    const book_entry* const e = book.find(block);
    return e == nullptr ? book_state::vacant : e->state;
  };
  for (int step = 0; step < 200'000; ++step) {
    const std::uintptr_t block = (1 + random() % 4000) * 64;
    const auto at = model.find(block);
    const book_state before = at == model.end() ? book_state::vacant : at->second;
    ASSERT_EQ(state_of(block), before);
    book_entry* const e = book.find(block);
    const bool growing = step / 20'000 % 2 == 0;
    switch (before) {
      case book_state::vacant:
      case book_state::gone:
        if (random() % 4 < (growing ? 3U : 1U)) {
          book_entry* const fresh = add(book, block, random() % 17);
          const std::array<const void*, 4> mark{fresh, nullptr, this, fresh};
          std::copy_n(mark.begin(), 4, book.made_at(fresh).begin());
          model[block] = book_state::live;
        }
        break;
      case book_state::live:
        ASSERT_EQ(book.made_at(e)[0], e);
        ASSERT_EQ(book.made_at(e)[3], e);
        if (step % 64 == 0) {  // it takes time
          ASSERT_EQ(book.find_inside(block - 16), e);
          ASSERT_EQ(book.find_inside(block + e->bytes), nullptr);
        }
        book.leave(e);
        model[block] = book_state::leaving;
        break;
      case book_state::leaving:
        if (random() % 3 == 0) {
          book.stay(e);
          model[block] = book_state::live;
        } else if (random() % 2 == 0) {
          book.hold(e);
          model[block] = book_state::held;
        } else {
          book.dismiss(e);
          model[block] = book_state::gone;
        }
        break;
      case book_state::held:
        book.dismiss(e);
        model[block] = book_state::gone;
        break;
      case book_state::promised:
        FAIL();
    }
    if (step % 10'000 == 0) {
      ASSERT_EQ(book.check(), nullptr);
    }
    if (step % 5000 != 0) continue;
    std::size_t seen = 0;
    book.visit([&](const book_entry* each) {
      ++seen;
      ASSERT_EQ(model.at(each->block), each->state);
    });
    ASSERT_EQ(seen, model.size());
  }
}

TEST(BlockBook, RemembersTheLastThatAreGone) {
  block_book book(0, SIZE_MAX, 3);
  for (std::uintptr_t block = 16; block <= 16 * 10; block += 16) {
    book_entry* const e = add(book, block);
    book.leave(e);
    book.dismiss(e);
  }
  for (std::uintptr_t n = 1; n <= 10; ++n) EXPECT_EQ(book.find(n * 16) != nullptr, n > 7) << n;
  book_entry* const again = add(book, 16 * 9);
  EXPECT_EQ(book.find(16 * 9), again);
  EXPECT_EQ(again->state, book_state::live);
  EXPECT_EQ(book.check(), nullptr);
}

TEST(BlockBook, HoldsTheOldestFirst) {
  block_book book(0, SIZE_MAX, 0);
  std::vector<book_entry*> entries;
  for (std::uintptr_t block = 16; block <= 16 * 5; block += 16) entries.push_back(add(book, block));
  for (book_entry* const e : entries) {
    book.leave(e);
    book.hold(e);
  }
  for (book_entry* const e : entries) {
    ASSERT_EQ(book.oldest_held(), e);
    book.dismiss(e);
  }
  EXPECT_EQ(book.oldest_held(), nullptr);
  EXPECT_EQ(book.check(), nullptr);
}

TEST(BlockBook, PromisesNoMoreThanItMay) {
  block_book book(0, 2, 8);
  book_entry* const first = add(book, 16);
  book_entry* const second = book.promise().entry;
  ASSERT_NE(second, nullptr);
  const auto [third, refused] = book.promise();
  EXPECT_EQ(third, nullptr);
  EXPECT_FALSE(refused.failed());
  book.withdraw(second);
  book.leave(first);
  book.hold(first);
  EXPECT_NE(book.promise().entry, nullptr);
  EXPECT_EQ(book.promise().entry, nullptr);  // what is held counts
  book.dismiss(first);
  EXPECT_NE(book.promise().entry, nullptr);
  EXPECT_EQ(book.check(), nullptr);
}

TEST(BlockBook, ARefusalOfTheOsChangesNothingAndAPromiseHolds) {
  test::os_script script;
  {
    block_book book(2, SIZE_MAX, SIZE_MAX);
    std::vector<book_entry*> promised;
    for (int i = 0; i < 10; ++i) promised.push_back(book.promise().entry);
    script.fail_always(test::os_call::mmap, ENOMEM);
    std::uintptr_t block = 16;
    for (book_entry* const e : promised) {
      e->block = block += 16;
      e->bytes = e->front = e->whole = 0;
      book.enter(e);
    }
    block_book::promise_result last{};
    while ((last = book.promise()).entry != nullptr) {
      last.entry->block = block += 16;
      last.entry->bytes = last.entry->front = last.entry->whole = 0;
      book.enter(last.entry);
    }
    EXPECT_EQ(last.error.code, ENOMEM);
    EXPECT_EQ(book.check(), nullptr);
    // What is only remembered gives way.
    book_entry* const e = book.find(32);
    ASSERT_NE(e, nullptr);
    book.leave(e);
    book.dismiss(e);
    EXPECT_NE(book.find(32), nullptr);
    EXPECT_NE(book.promise().entry, nullptr);
    EXPECT_EQ(book.find(32), nullptr);
    script.fail_always(test::os_call::mmap, 0);
    EXPECT_NE(book.promise().entry, nullptr);
    EXPECT_EQ(book.check(), nullptr);
  }
  EXPECT_EQ(script.mapped_bytes(), 0U);
}

}  // namespace
}  // namespace strata::mem
