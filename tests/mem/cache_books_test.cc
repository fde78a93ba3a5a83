// SPDX-License-Identifier: Apache-2.0
// Claims: calls are counted both ways, and a count can be taken back; counts agree with what is inside exactly while no
// call is under way, whatever came and went otherwise. And of the steps themselves, in a model with a store buffer: for
// every program of three calls of the owner on two magazines, and a taker that comes twice, however their steps fall, each
// slot has one owner, and nobody waits for ever; a taker succeeds, and is refused, in some of them. Each step is needed:
// the model without it, or with it at another place, goes wrong.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

import strata.mem;

namespace strata::mem {
namespace {

TEST(CacheBooks, CountBothWays) {
  cache_books books;
  books.going_out(100);
  books.going_out(50);
  books.coming_in(100);
  EXPECT_EQ(books.live(), 50U);
  books.coming_in(60);
  EXPECT_EQ(books.live() + 10, 0U) << "modulo 2^64: another thread handed out the rest";
  EXPECT_EQ(books.out(), 2U);
  EXPECT_EQ(books.in(), 2U);
  books.going_out(7);
  books.not_out(7);
  books.coming_in(9);
  books.not_in(9);
  EXPECT_EQ(books.live() + 10, 0U);
  EXPECT_EQ(books.out(), 2U);
  EXPECT_EQ(books.in(), 2U);
}

TEST(CacheBooks, AgreeWhileNoCallIsUnderWay) {
  cache_books books;
  EXPECT_TRUE(books.agree_with(0));
  books.moved_in(5);
  EXPECT_TRUE(books.agree_with(5));
  books.going_out(8);
  EXPECT_FALSE(books.agree_with(5)) << "the top was not moved yet";
  EXPECT_TRUE(books.agree_with(4));
  books.coming_in(8);
  EXPECT_FALSE(books.agree_with(4));
  EXPECT_TRUE(books.agree_with(5));
  books.went_past(8);
  books.came_past(8);
  books.went_past(8);
  EXPECT_TRUE(books.agree_with(5)) << "what passed by the magazines was never inside";
  books.moved_in(std::size_t{0} - 5);
  EXPECT_TRUE(books.agree_with(0));
}

// What can be left out, or done otherwise.
enum class change : std::uint8_t {
  none,
  no_barrier,
  looks_before_it_counts,
  counts_after_the_move,
  tops_judged_first,
  tops_alone_judged,
  counts_alone_judged,
  closed_by_load_and_store,
  one_magazine_left_open,
  no_undoing,
  undone_by_a_plain_store,
  limit_told_by_equality,
  slow_way_without_the_lock,
};

constexpr std::int8_t closed = 100;
constexpr std::int8_t limit = 3;  // slots of a magazine
constexpr int calls = 3;
constexpr int rounds = 2;

enum class call : std::uint8_t { pop_0, pop_1, push_0, push_1 };

// Everything there is, in bytes: two of the same are the same state.
struct model {
  enum place : std::int8_t { top_0, top_1, out, in, entries };  // entries + 4 * magazine + index
  struct store {
    std::int8_t where, value;
  };

  std::array<std::int8_t, 12> memory{};
  std::array<store, 8> buffer{};  // of the owner, oldest first
  std::int8_t buffered = 0;
  std::int8_t due = 0;
  std::int8_t is_closed = 0;
  std::int8_t lock = 0;  // 1: the owner's, 2: the taker's

  std::int8_t done = 0;  // calls
  std::int8_t step = 0;  // of the call
  std::int8_t top = 0;   // as seen
  std::int8_t slot = 0;

  std::int8_t round = 0;
  std::int8_t taker = 0;  // step
  std::array<std::int8_t, 2> was{};
  std::array<std::int8_t, 2> read{};
  std::int8_t yes = 0;

  std::uint8_t held = 0;   // by who uses the owner's thread, a bit each
  std::uint8_t taken = 0;  // by the store behind
  std::int8_t wrong = 0;
  std::int8_t takes = 0;
  std::int8_t refusals = 0;
};

class explorer {
 public:
  explicit explorer(change what, const std::array<call, calls>& program) : change_(what), program_(program) {
    model start;
    start.memory[model::top_0] = 2;
    start.memory[entry(0, 1)] = 0;
    start.memory[entry(0, 2)] = 1;
    start.memory[model::top_1] = 1;
    start.memory[entry(1, 1)] = 2;
    start.held = 0b111000;
    start.due = 3;
    visit(start);
    while (!open_.empty()) {
      const model next = open_.back();
      open_.pop_back();
      explore(next);
    }
  }

  [[nodiscard]] bool sound() const { return sound_; }
  [[nodiscard]] bool ever_taken() const { return taken_; }
  [[nodiscard]] bool ever_refused() const { return refused_; }
  [[nodiscard]] std::size_t states() const { return seen_.size(); }

 private:
  static std::size_t entry(std::size_t magazine, std::size_t index) { return model::entries + 4 * magazine + index; }
  [[nodiscard]] bool is(change what) const { return change_ == what; }

  void visit(const model& m) {
    if (seen_.emplace(reinterpret_cast<const char*>(&m), sizeof m).second) open_.push_back(m);
  }

  static std::int8_t load(const model& m, std::size_t where) {
    for (int i = m.buffered; i-- > 0;) {
      if (m.buffer[static_cast<std::size_t>(i)].where == static_cast<std::int8_t>(where))
        return m.buffer[static_cast<std::size_t>(i)].value;
    }
    return m.memory[where];
  }
  static void put(model& m, std::size_t where, int value) {
    if (m.buffered == static_cast<std::int8_t>(m.buffer.size())) drain(m);
    m.buffer[static_cast<std::size_t>(m.buffered++)] = {static_cast<std::int8_t>(where),
                                                        static_cast<std::int8_t>(value)};
  }
  static void drain_one(model& m) {
    m.memory[static_cast<std::size_t>(m.buffer[0].where)] = m.buffer[0].value;
    for (std::size_t i = 1; i < m.buffer.size(); ++i) m.buffer[i - 1] = m.buffer[i];
    m.buffer.back() = {};
    --m.buffered;
  }
  static void drain(model& m) {
    while (m.buffered != 0) drain_one(m);
  }
  static void hand_over(model& m, std::uint8_t& to, std::int8_t slot) {
    const auto bit = static_cast<std::uint8_t>(1U << static_cast<unsigned>(slot));
    if (((m.held | m.taken) & bit) != 0) m.wrong = 1;
    to |= bit;
  }

  void explore(const model& m) {
    if (m.wrong != 0) {
      sound_ = false;
      return;
    }
    bool moved = false;
    if (m.buffered != 0) {
      model next = m;
      drain_one(next);
      visit(next);
      moved = true;
    }
    if (m.done < calls) moved |= owner(m);
    if (m.round < rounds) moved |= taker(m);
    if (moved) return;
    // The end, or nobody can go on.
    taken_ |= m.takes != 0;
    refused_ |= m.refusals != 0;
    if (m.done != calls || m.round != rounds || !adds_up(m)) sound_ = false;
  }

  static bool adds_up(model m) {
    int inside = 0;
    for (std::size_t magazine = 0; magazine < 2; ++magazine) {
      const std::int8_t top = m.memory[magazine];
      if ((top == closed) != (m.is_closed != 0)) return false;
      if (top == closed) continue;
      if (top < 0 || top > limit) return false;
      inside += top;
      for (std::int8_t i = 1; i <= top; ++i) {
        std::uint8_t in_magazine = 0;
        hand_over(m, in_magazine, m.memory[entry(magazine, static_cast<std::size_t>(i))]);
        m.held |= in_magazine;
      }
    }
    return m.wrong == 0 && (m.held | m.taken) == 0b111111 &&
           inside + m.memory[model::out] - m.memory[model::in] == m.due;
  }

  // One step of a call. False: it has to wait.
  bool owner(model m) {
    const call what = program_[static_cast<std::size_t>(m.done)];
    const bool pop = what == call::pop_0 || what == call::pop_1;
    const std::size_t magazine = what == call::pop_0 || what == call::push_0 ? 0 : 1;
    const std::size_t count = pop ? model::out : model::in;
    const auto count_by = [&](int n) { put(m, count, load(m, count) + n); };
    // In their order: 0 count, 1 look, 2 read or write the entry, 3 move; after a miss 4 wait for the lock, 5 the slow way,
    // 6 let go; 7 and 8 are the end.
    switch (m.step) {
      case 0:
        if (is(change::looks_before_it_counts)) {
          m.top = load(m, magazine);
        } else if (!is(change::counts_after_the_move)) {
          count_by(1);
        }
        m.step = 1;
        break;
      case 1:
        if (is(change::looks_before_it_counts)) {
          count_by(1);
        } else {
          m.top = load(m, magazine);
        }
        m.step = 2;
        break;
      case 2: {
        const bool full = is(change::limit_told_by_equality) ? m.top == limit : m.top >= limit;
        if (pop ? m.top == 0 || m.top == closed : full) {
          if (!is(change::counts_after_the_move)) count_by(-1);
          m.step = 4;
          break;
        }
        if (!pop && m.top == closed) {
          m.wrong = 1;  // writes where no magazine is
          break;
        }
        if (pop) {
          m.slot = load(m, entry(magazine, static_cast<std::size_t>(m.top)));
        } else {
          m.slot = lowest(m.held);
          m.held = static_cast<std::uint8_t>(m.held & ~(1U << static_cast<unsigned>(m.slot)));
          put(m, entry(magazine, static_cast<std::size_t>(m.top) + 1), m.slot);
        }
        m.step = 3;
        break;
      }
      case 3:
        put(m, magazine, m.top + (pop ? -1 : 1));
        if (pop) hand_over(m, m.held, m.slot);
        m.step = 7;
        break;
      case 4:
        drain(m);
        if (!is(change::slow_way_without_the_lock)) {
          if (m.lock != 0) return false;
          m.lock = 1;
        }
        m.step = 5;
        break;
      case 5: {
        if (m.is_closed != 0) m.memory[model::top_0] = m.memory[model::top_1] = 0;
        m.is_closed = 0;
        std::int8_t& top = m.memory[magazine];
        if (top == closed) {
          m.wrong = 1;
          break;
        }
        if (pop && top != 0) {
          ++m.memory[model::out];
          hand_over(m, m.held, m.memory[entry(magazine, static_cast<std::size_t>(top--))]);
        } else if (!pop) {
          const std::int8_t slot = lowest(m.held);
          m.held = static_cast<std::uint8_t>(m.held & ~(1U << static_cast<unsigned>(slot)));
          ++m.memory[model::in];
          if (top < limit) {
            m.memory[entry(magazine, static_cast<std::size_t>(++top))] = slot;
          } else {
            --m.due;
            hand_over(m, m.taken, slot);
          }
        }
        m.step = 6;
        break;
      }
      case 6:
        if (!is(change::slow_way_without_the_lock)) m.lock = 0;
        m.step = 8;
        break;
      default:
        if (is(change::counts_after_the_move) && m.step == 7) count_by(1);
        m.step = m.top = m.slot = 0;
        ++m.done;
        break;
    }
    visit(m);
    return true;
  }

  // One step of the taker.
  bool taker(model m) {
    switch (m.taker) {
      case 0:
        if (m.lock != 0) {
          ++m.round;  // in use: another time
          break;
        }
        m.lock = 2;
        m.taker = m.is_closed != 0 ? 9 : 1;
        break;
      case 1:
      case 2: {
        const auto magazine = static_cast<std::size_t>(m.taker - 1);
        m.was[magazine] = m.memory[magazine];
        ++m.taker;
        if (is(change::one_magazine_left_open) && magazine == 1) break;
        if (is(change::closed_by_load_and_store)) {
          visit_with(m, [&](model& later) { later.taker = static_cast<std::int8_t>(magazine + 11); });
          return true;
        }
        m.memory[magazine] = closed;
        break;
      }
      case 3:
        if (!is(change::no_barrier)) drain(m);
        m.yes = 1;
        m.taker = is(change::tops_judged_first) ? 6 : 4;
        break;
      case 4:
        m.read[0] = m.memory[model::out];
        m.taker = 5;
        break;
      case 5:
        m.read[1] = m.memory[model::in];
        if (!is(change::tops_alone_judged) && m.was[0] + m.was[1] + m.read[0] - m.read[1] != m.due) m.yes = 0;
        m.taker = is(change::tops_judged_first) ? 8 : 6;
        break;
      case 6:
      case 7:
        if (!is(change::counts_alone_judged) && m.memory[static_cast<std::size_t>(m.taker - 6)] != closed &&
            !(is(change::one_magazine_left_open) && m.taker == 7))
          m.yes = 0;
        m.taker = m.taker == 6 ? 7 : is(change::tops_judged_first) ? 4 : 8;
        break;
      case 8:
        if (m.yes != 0) {
          for (std::size_t magazine = 0; magazine < 2; ++magazine) {
            for (std::int8_t i = 1; i <= m.was[magazine]; ++i) {
              hand_over(m, m.taken, m.memory[entry(magazine, static_cast<std::size_t>(i))]);
            }
            if (is(change::one_magazine_left_open) && magazine == 1) m.memory[magazine] = closed;
          }
          m.due = static_cast<std::int8_t>(m.due - m.was[0] - m.was[1]);
          m.is_closed = 1;
          m.takes = 1;
          m.taker = 9;
        } else {
          m.refusals = 1;
          m.taker = is(change::no_undoing) ? 9 : 13;
        }
        break;
      case 9:
        m.lock = 0;
        m.taker = 0;
        m.was = m.read = {};
        m.yes = 0;
        ++m.round;
        break;
      case 11:
      case 12:  // the second half of closing by load and store
        m.memory[static_cast<std::size_t>(m.taker - 11)] = closed;
        m.taker = static_cast<std::int8_t>(m.taker - 9);
        break;
      case 13:
      case 14: {
        const auto magazine = static_cast<std::size_t>(m.taker - 13);
        if (m.memory[magazine] == closed || is(change::undone_by_a_plain_store)) m.memory[magazine] = m.was[magazine];
        m.taker = m.taker == 13 ? 14 : 9;
        break;
      }
      default:
        m.wrong = 1;
    }
    visit(m);
    return true;
  }

  template <class Change>
  void visit_with(model m, const Change& with) {
    with(m);
    visit(m);
  }
  static std::int8_t lowest(std::uint8_t set) {
    std::int8_t i = 0;
    while (((set >> static_cast<unsigned>(i)) & 1U) == 0) ++i;
    return i;
  }

  const change change_;
  const std::array<call, calls> program_;
  std::unordered_set<std::string> seen_;
  std::vector<model> open_;
  bool sound_ = true;
  bool taken_ = false;
  bool refused_ = false;
};

struct outcome {
  bool sound = true;
  bool taken = false;
  bool refused = false;
  std::size_t states = 0;
};

// All programs; of a change that is to go wrong, until it does.
outcome explore(change what) {
  outcome sum;
  for (std::uint8_t n = 0; n < 64; ++n) {
    const explorer each(what, {static_cast<call>(n % 4), static_cast<call>(n / 4 % 4), static_cast<call>(n / 16)});
    sum.sound &= each.sound();
    sum.taken |= each.ever_taken();
    sum.refused |= each.ever_refused();
    sum.states += each.states();
    if (!sum.sound) break;
  }
  return sum;
}

TEST(CacheBooksModel, EverySlotHasOneOwnerHoweverTheStepsFall) {
  const outcome all = explore(change::none);
  EXPECT_TRUE(all.sound);
  EXPECT_TRUE(all.taken);
  EXPECT_TRUE(all.refused);
  EXPECT_GT(all.states, 10'000U);
  RecordProperty("states", std::to_string(all.states));
}

TEST(CacheBooksModel, EveryStepIsNeeded) {
  EXPECT_FALSE(explore(change::no_barrier).sound);
  EXPECT_FALSE(explore(change::looks_before_it_counts).sound);
  EXPECT_FALSE(explore(change::counts_after_the_move).sound);
  EXPECT_FALSE(explore(change::tops_judged_first).sound);
  EXPECT_FALSE(explore(change::tops_alone_judged).sound);
  EXPECT_FALSE(explore(change::counts_alone_judged).sound);
  EXPECT_FALSE(explore(change::closed_by_load_and_store).sound);
  EXPECT_FALSE(explore(change::one_magazine_left_open).sound);
  EXPECT_FALSE(explore(change::no_undoing).sound);
  EXPECT_FALSE(explore(change::undone_by_a_plain_store).sound);
  EXPECT_FALSE(explore(change::limit_told_by_equality).sound);
  EXPECT_FALSE(explore(change::slow_way_without_the_lock).sound);
}

}  // namespace
}  // namespace strata::mem
