// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

module strata.mem:lock_watch.impl;

import :lock_watch;

import strata.platform;

namespace strata::mem {

namespace {

// What a thread holds, in the order in which it took it. More than fit are only counted.
struct held_locks {
  struct entry {
    const void* lock;
    const lock_watch_kept* watch;  ///< null: a small one
  };

  static constexpr std::size_t room = 48;

  entry entries[room];
  std::size_t count;
  std::size_t uncounted;

  [[nodiscard]] bool has(const void* lock) const noexcept {
    for (std::size_t i = count; i-- > 0;) {
      if (entries[i].lock == lock) return true;
    }
    return false;
  }

  void add(entry e) noexcept {
    if (count == room) {
      ++uncounted;
    } else {
      entries[count++] = e;
    }
  }

  // False: it is not there, nor can it be among those only counted.
  [[nodiscard]] bool remove(const void* lock) noexcept {
    for (std::size_t i = count; i-- > 0;) {
      if (entries[i].lock != lock) continue;
      for (--count; i < count; ++i) entries[i] = entries[i + 1];
      return true;
    }
    if (uncounted == 0) return false;
    --uncounted;
    return true;
  }
};

constinit thread_local held_locks held{};

constinit std::atomic<std::uint64_t> made{0};

// One line for people. Nothing here may take a lock or memory.
class line {
 public:
  line& operator<<(std::string_view text) noexcept {
    for (const char c : text) {
      if (size_ < sizeof text_ - 1) text_[size_++] = c;
    }
    return *this;
  }
  line& operator<<(const char* text) noexcept { return *this << std::string_view(text); }
  template <class Number>
  line& number(Number n) noexcept {
    char digits[24];
    return *this << std::string_view(digits, std::to_chars(digits, digits + sizeof digits, n).ptr);
  }
  line& operator<<(const lock_watch_kept& lock) noexcept {
    *this << "\"" << lock.name() << "\" (rank ";
    number(lock.rank()) << ", number ";
    return number(lock.number()) << ")";
  }

  [[noreturn]] void abort() noexcept {
    text_[size_++] = '\n';
    platform::write_to_console({text_, size_});
    std::abort();
  }

 private:
  char text_[512];
  std::size_t size_ = 0;
};

[[nodiscard]] bool comes_before(const lock_watch_kept& outer, const lock_watch_kept& inner) noexcept {
  return outer.rank() != inner.rank() ? outer.rank() > inner.rank() : outer.number() > inner.number();
}

}  // namespace

lock_watch_kept::lock_watch_kept(const char* name, int rank, lock_reach reach) noexcept
    : name_(name), rank_(rank), reach_(reach), number_(made.fetch_add(1, std::memory_order_relaxed) + 1) {}

lock_watch_kept::~lock_watch_kept() {
  if (held_.load(std::memory_order_relaxed))
    (line() << "strata: lock " << *this << " destroyed while it is held").abort();
}

void lock_watch_kept::before_wait() const noexcept {
  for (std::size_t i = 0; i < held.count; ++i) {
    const lock_watch_kept* const other = held.entries[i].watch;
    if (other == this)
      (line() << "strata: lock " << *this << " taken twice by one thread, which would wait for ever").abort();
    if (other == nullptr || comes_before(*other, *this)) continue;
    (line() << "strata: lock " << *this << " taken out of order, with " << *other
            << " held: of higher rank first, of one rank the one made later")
        .abort();
  }
}

void lock_watch_kept::before_fork() const noexcept {
  if (held.has(this)) (line() << "strata: fork() under lock " << *this << ", which would wait for ever").abort();
}

void lock_watch_kept::taken() noexcept {
  held.add({this, this});
  held_.store(true, std::memory_order_relaxed);
}

void lock_watch_kept::before_release() noexcept {
  held_.store(false, std::memory_order_relaxed);
  if (!held.remove(this)) (line() << "strata: lock " << *this << " released by a thread that does not hold it").abort();
}

void watch_small_wait(const void* lock) noexcept {
  if (held.has(lock)) (line() << "strata: a small lock taken twice by one thread, which would wait for ever").abort();
}

void watch_small_taken(const void* lock) noexcept { held.add({lock, nullptr}); }

void watch_small_release(const void* lock) noexcept {
  if (!held.remove(lock)) (line() << "strata: a small lock released by a thread that does not hold it").abort();
}

void watch_call_out(const char* whom) noexcept {
  for (std::size_t i = 0; i < held.count; ++i) {
    const lock_watch_kept* const lock = held.entries[i].watch;
    if (lock == nullptr) (line() << "strata: a small lock held while " << whom << " is called").abort();
    if (lock->reach() == lock_reach::own_code) {
      (line() << "strata: lock " << *lock << " held while " << whom << " is called").abort();
    }
  }
}

}  // namespace strata::mem
