// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>

export module strata.mem:bitmap;

import :bytes;
import :schedule;
import :stripes;

/// Runs of bits in atomic cells, claimed and released by many threads at once. A bit that is set is taken.
///
///   cells   | 63 … 1 0 | 127 … 65 64 | …        bit i is bit i % width of cell i / width; those past the end stay set
///
/// First fit: claim() takes the lowest run that will do at or above a place to start from, else the lowest below it. Runs
/// have any length and may lie across cells; a rule says how they are aligned and what they must not cross.
///
/// A run within a cell is claimed by one compare-and-swap. A longer one is claimed cell by cell, lowest first; who meets a
/// bit that has been taken meanwhile gives back its own bits, no others, and looks further. Of the claims that overlap, the
/// one that has come furthest up gives way to a finished claim only; so some claim always comes to its end: lock-free.
/// release() is wait-free. Nothing sleeps.
///
/// *Full* and *contended* are not the same. A look over all cells is no snapshot: what it missed may have been released
/// behind it. So a look that finds nothing counts only if it was undisturbed: no bit was cleared, and no longer claim was
/// on its way, from its start to its end. Bits were then only set meanwhile, and at its end there was no such run. Each
/// thread counts in a stripe what it begins and ends of that kind. After `max_looks` disturbed looks the answer is
/// `contended`: others did something each time, or one of them was stopped half-way, and the caller decides whether to try
/// again.
///
/// Who reads a released bit as clear sees what its owner wrote before. Nothing throws, allocates or locks.
export namespace strata::mem {

/// Where a run may lie.
struct run_rule {
  std::size_t alignment = 1;  ///< its start is a multiple of it; a power of two
  std::size_t within = 0;     ///< it crosses no multiple of this; a power of two, or 0 for none
  std::size_t phase = 0;      ///< added to a bit's number before either is asked; below `alignment`
};

enum class claim_outcome : std::uint8_t {
  taken,
  full,       ///< at some moment of the call there was no such run
  contended,  ///< the looks were disturbed: there may have been one
};

struct claim_result {
  claim_outcome outcome = claim_outcome::full;
  std::uint32_t looks = 0;  ///< over all the cells, begun
  std::size_t words = 0;    ///< cells looked at
  std::size_t first = 0;    ///< the run's first bit, if taken
};

template <std::unsigned_integral Cell = std::uint64_t>
class bitmap {
 public:
  using cell = std::atomic<Cell>;
  static_assert(cell::is_always_lock_free);

  static constexpr std::size_t width = std::numeric_limits<Cell>::digits;
  static constexpr std::uint32_t max_looks = 64;

  [[nodiscard]] static constexpr std::size_t cells_for(std::size_t bits) noexcept { return (bits + width - 1) / width; }

  /// Over cells_for(bits) cells that outlive this object. All bits are clear then.
  bitmap(cell* cells, std::size_t bits) noexcept;
  bitmap(const bitmap&) = delete;
  bitmap& operator=(const bitmap&) = delete;

  [[nodiscard]] std::size_t size() const noexcept { return bits_; }

  /// Takes `n` bits as the rule says, looking from bit `from` on and then below it. Pre: n > 0, from < size(), `within`
  /// is 0 or at least n.
  [[nodiscard]] claim_result claim(std::size_t n, const run_rule& rule = {}, std::size_t from = 0) noexcept;

  /// Gives back `n` bits; false, nothing changed, when one of them is not taken. Pre: first + n <= size(); the caller
  /// has them, or nobody else calls just now.
  bool release(std::size_t first, std::size_t n) noexcept;

  /// In a child of fork(): those who were on their way are not here, and disturb nobody. Bits they had taken stay.
  void forked() noexcept {
    progress_.visit([](progress& p) { p.ended.store(p.begun.load()); });
  }

  [[nodiscard]] bool is_taken(std::size_t i) const noexcept { return (read(i / width) >> (i % width) & 1) != 0; }

  /// Bits that are taken. Like the next, right when nobody else calls just now.
  [[nodiscard]] std::size_t taken() const noexcept;
  /// Length of the longest run of bits that are not set, of those that start at a border or do not reach the next: there
  /// is one where p + phase is a multiple of `border`.
  [[nodiscard]] std::size_t longest_free(std::size_t border = 1, std::size_t phase = 0) const noexcept;

 private:
  static constexpr Cell all = std::numeric_limits<Cell>::max();

  // What a thread has begun and ended that clears bits, or may: releases, and claims longer than a cell.
  struct progress {
    std::atomic<std::uint64_t> begun{0};
    std::atomic<std::uint64_t> ended{0};
  };

  [[nodiscard]] inline Cell read(std::size_t c) const noexcept { return cells_[c].load(); }
  [[nodiscard]] static inline constexpr Cell mask(std::size_t bit, std::size_t n) noexcept {
    return static_cast<Cell>(static_cast<Cell>(all >> (width - n)) << bit);
  }
  // The first position from `p` on where a run of `n` may start.
  [[nodiscard]] static std::size_t allowed(std::size_t p, std::size_t n, const run_rule& rule) noexcept;
  [[nodiscard]] static Cell allowed_in_cell(std::size_t n, const run_rule& rule) noexcept;
  [[nodiscard]] static Cell repeated(Cell pattern, std::size_t period) noexcept;

  [[nodiscard]] bool look(std::size_t n, const run_rule& rule, std::size_t from, claim_result& result) noexcept;
  [[nodiscard]] bool look_in_cells(Cell starts, std::size_t n, std::size_t c, std::size_t end,
                                   claim_result& result) noexcept;
  [[nodiscard]] bool look_across(std::size_t n, const run_rule& rule, std::size_t from, std::size_t end,
                                 claim_result& result) noexcept;
  template <int Bit>
  [[nodiscard]] std::size_t first_bit(std::size_t from, std::size_t end, std::size_t& words) const noexcept;
  [[nodiscard]] std::size_t take(std::size_t first, std::size_t n) noexcept;
  [[nodiscard]] std::size_t take_cells(std::size_t first, std::size_t n) noexcept;
  void clear(std::size_t first, std::size_t n) noexcept;
  [[nodiscard]] std::uint64_t total(std::atomic<std::uint64_t> progress::* count) const noexcept;

  // Calls `visit(cell, mask)` for the pieces of a run until it says false; returns the bits of the pieces before.
  template <class Visitor>
  static inline std::size_t each_piece(std::size_t first, std::size_t n, Visitor&& visit) noexcept;

  cell* cells_;
  std::size_t bits_;
  stripes<progress> progress_;
};

template <std::unsigned_integral Cell>
bitmap<Cell>::bitmap(cell* cells, std::size_t bits) noexcept : cells_(cells), bits_(bits) {
  const std::size_t count = cells_for(bits);
  for (std::size_t c = 0; c < count; ++c) ::new (static_cast<void*>(cells + c)) cell(0);
  if (bits % width != 0) cells[count - 1].store(mask(bits % width, width - bits % width), std::memory_order_relaxed);
}

template <std::unsigned_integral Cell>
claim_result bitmap<Cell>::claim(std::size_t n, const run_rule& rule, std::size_t from) noexcept {
  claim_result result;
  if (n > bits_) return result;
  // The first look is for luck: who finds something needs to know nothing about others.
  while (result.looks <= max_looks) {
    const bool counts = result.looks != 0;
    const std::uint64_t ended = counts ? total(&progress::ended) : 0;
    ++result.looks;
    if (look(n, rule, from, result)) {
      result.outcome = claim_outcome::taken;
      return result;
    }
    // Each stripe's `ended` follows its `begun`, and both only grow. Equal sums, the earlier one of what had ended: in
    // every stripe nothing was under way, and nothing has begun since.
    if (counts && total(&progress::begun) == ended) return result;
  }
  result.outcome = claim_outcome::contended;
  return result;
}

template <std::unsigned_integral Cell>
bool bitmap<Cell>::look(std::size_t n, const run_rule& rule, std::size_t from, claim_result& result) noexcept {
  // Where no run that is allowed crosses a cell, a cell answers for itself.
  if (rule.within != 0 && rule.within <= width && rule.alignment <= width && rule.phase == 0) {
    const Cell starts = allowed_in_cell(n, rule);
    const std::size_t start = from / width;
    const auto above = static_cast<Cell>(starts & static_cast<Cell>(all << (from % width)));
    return look_in_cells(above, n, start, start + 1, result) ||
           look_in_cells(starts, n, start + 1, cells_for(bits_), result) ||
           look_in_cells(starts, n, 0, start + (above != starts ? 1 : 0), result);
  }
  return look_across(n, rule, from, bits_, result) || look_across(n, rule, 0, std::min(bits_, from + n - 1), result);
}

template <std::unsigned_integral Cell>
bool bitmap<Cell>::look_in_cells(Cell starts, std::size_t n, std::size_t c, std::size_t end,
                                 claim_result& result) noexcept {
  while (c < end) {
    ++result.words;
    Cell seen = read(c);
    // Bit i stays if bits i … i + n - 1 are free: each step doubles what a bit speaks for.
    Cell fits = static_cast<Cell>(~seen);
    for (std::size_t have = 1; have < n && fits != 0;) {
      const std::size_t step = std::min(have, n - have);
      fits = static_cast<Cell>(fits & static_cast<Cell>(fits >> step));
      have += step;
    }
    fits = static_cast<Cell>(fits & starts);
    if (fits == 0) {
      ++c;
      continue;
    }
    const auto bit = static_cast<std::size_t>(std::countr_zero(fits));
    reached(moment::run_found);
    if (cells_[c].compare_exchange_strong(seen, static_cast<Cell>(seen | mask(bit, n)))) {
      result.first = c * width + bit;
      return true;
    }
    // Somebody is busy here: the first look, which is for luck, leaves him alone. Others may leave nothing out.
    if (result.looks == 1) ++c;
  }
  return false;
}

template <std::unsigned_integral Cell>
bool bitmap<Cell>::look_across(std::size_t n, const run_rule& rule, std::size_t from, std::size_t end,
                               claim_result& result) noexcept {
  for (std::size_t p = allowed(from, n, rule); p <= end && n <= end - p;) {
    std::size_t obstacle = first_bit<1>(p, p + n, result.words);
    if (obstacle == p + n) {
      reached(moment::run_found);
      obstacle = take(p, n);
      if (obstacle == p + n) {
        result.first = p;
        return true;
      }
    }
    p = allowed(first_bit<0>(obstacle + 1, end, result.words), n, rule);
  }
  return false;
}

template <std::unsigned_integral Cell>
std::size_t bitmap<Cell>::allowed(std::size_t p, std::size_t n, const run_rule& rule) noexcept {
  p += rule.phase;
  for (;;) {
    p = round_up(p, rule.alignment);
    if (rule.within == 0 || (p & (rule.within - 1)) + n <= rule.within) return p - rule.phase;
    p = (p | (rule.within - 1)) + 1;
  }
}

// Cells start at multiples of their width, which alignment and within divide: the pattern is the same in all. It is one of
// `within` bits, then again and again, thinned out to the aligned ones.
template <std::unsigned_integral Cell>
Cell bitmap<Cell>::allowed_in_cell(std::size_t n, const run_rule& rule) noexcept {
  const Cell starts = repeated(mask(0, rule.within - n + 1), rule.within);
  return rule.alignment == 1 ? starts : static_cast<Cell>(starts & repeated(1, rule.alignment));
}

// `pattern` and its copies, `period` bits apart.
template <std::unsigned_integral Cell>
Cell bitmap<Cell>::repeated(Cell pattern, std::size_t period) noexcept {
  for (; period < width; period *= 2) pattern = static_cast<Cell>(pattern | static_cast<Cell>(pattern << period));
  return pattern;
}

// The first bit of [from, end) that is `Bit`, or `end`.
template <std::unsigned_integral Cell>
template <int Bit>
std::size_t bitmap<Cell>::first_bit(std::size_t from, std::size_t end, std::size_t& words) const noexcept {
  for (std::size_t c = from / width; c * width < end; ++c) {
    ++words;
    Cell seen = Bit == 1 ? read(c) : static_cast<Cell>(~read(c));
    if (c * width < from) seen = static_cast<Cell>(seen & static_cast<Cell>(all << (from % width)));
    if (seen != 0) return std::min(end, c * width + static_cast<std::size_t>(std::countr_zero(seen)));
  }
  return end;
}

// Takes the run if it is free still and returns its end, else a bit that is not.
template <std::unsigned_integral Cell>
std::size_t bitmap<Cell>::take(std::size_t first, std::size_t n) noexcept {
  if (first / width == (first + n - 1) / width) return take_cells(first, n);
  progress& mine = progress_.mine();
  mine.begun.fetch_add(1);
  const std::size_t reached = take_cells(first, n);
  mine.ended.fetch_add(1);
  return reached;
}

template <std::unsigned_integral Cell>
std::size_t bitmap<Cell>::take_cells(std::size_t first, std::size_t n) noexcept {
  std::size_t obstacle = first + n;
  const std::size_t done = each_piece(first, n, [&](std::size_t c, Cell bits) {
    for (Cell seen = read(c); (seen & bits) == 0;) {
      if (cells_[c].compare_exchange_weak(seen, static_cast<Cell>(seen | bits))) {
        reached(moment::run_part_taken);
        return true;
      }
    }
    const auto met = static_cast<Cell>(read(c) & bits);  // may be free again: then this piece's first bit will do
    obstacle = c * width + static_cast<std::size_t>(std::countr_zero(met != 0 ? met : bits));
    return false;
  });
  if (done != n) clear(first, done);
  return obstacle;
}

template <std::unsigned_integral Cell>
bool bitmap<Cell>::release(std::size_t first, std::size_t n) noexcept {
  const std::size_t taken = each_piece(first, n, [&](std::size_t c, Cell bits) { return (read(c) & bits) == bits; });
  if (taken != n) return false;
  progress& mine = progress_.mine();
  mine.begun.fetch_add(1);
  clear(first, n);
  mine.ended.fetch_add(1);
  return true;
}

template <std::unsigned_integral Cell>
void bitmap<Cell>::clear(std::size_t first, std::size_t n) noexcept {
  each_piece(first, n, [&](std::size_t c, Cell bits) {
    cells_[c].fetch_and(static_cast<Cell>(~bits));
    reached(moment::run_part_cleared);
    return true;
  });
}

template <std::unsigned_integral Cell>
template <class Visitor>
inline std::size_t bitmap<Cell>::each_piece(std::size_t first, std::size_t n, Visitor&& visit) noexcept {
  for (std::size_t done = 0; done < n;) {
    const std::size_t bit = (first + done) % width;
    const std::size_t count = std::min(width - bit, n - done);
    if (!visit((first + done) / width, mask(bit, count))) return done;
    done += count;
  }
  return n;
}

template <std::unsigned_integral Cell>
std::uint64_t bitmap<Cell>::total(std::atomic<std::uint64_t> progress::* count) const noexcept {
  std::uint64_t sum = 0;
  progress_.visit([&](const progress& p) { sum += (p.*count).load(); });
  return sum;
}

template <std::unsigned_integral Cell>
std::size_t bitmap<Cell>::taken() const noexcept {
  const std::size_t count = cells_for(bits_);
  std::size_t set = 0;
  for (std::size_t c = 0; c < count; ++c) set += static_cast<std::size_t>(std::popcount(read(c)));
  return set - (count * width - bits_);
}

template <std::unsigned_integral Cell>
std::size_t bitmap<Cell>::longest_free(std::size_t border, std::size_t phase) const noexcept {
  std::size_t longest = 0;
  std::size_t words = 0;
  for (std::size_t p = first_bit<0>(0, bits_, words); p < bits_;) {
    const std::size_t end = first_bit<1>(p, bits_, words);
    const std::size_t at_border = std::min(end, round_up(p + phase, border) - phase);
    longest = std::max({longest, at_border - p, end - at_border});
    p = first_bit<0>(end, bits_, words);
  }
  return longest;
}

}  // namespace strata::mem
