// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>

export module strata.mem:slot_pool;

import :bytes;
import :chunk_table;
import :lifo;
import :slot_shape;
import :threads;

/// Slots of one size out of chunks that the caller brings: free ones are numbers in a lifo, and move in batches.
///
/// Nothing is ever written into a slot. Each has a word elsewhere, the lifo's link, which says whether it is out; so a
/// slot that comes back twice is noticed, and as chunks are found by address, so is a pointer that is no slot, without
/// touching what it points to. The words of a number stay when its chunk goes back, since some thread may be about to
/// read them; a later chunk has the number again, and its words.
///
/// A chunk whose slots are all in can be taken out of circulation: it rests. Nobody gets a slot of it until it is woken, so as
/// long as it rests nobody needed it; and only what rests can be handed back. Invariants: no slot of a chunk that rests is in
/// the lifo, and all of them are idle; a chunk rests exactly when its tally is the number of its slots.
///
/// Any thread (threads::one: one at a time), but add(), rest(), wake() and take_resting(), which are for one at a time, and
/// forget(). Nothing throws, allocates, locks or waits.
export namespace strata::mem {

template <threads Threads>
class slot_pool {
 public:
  using stack = lifo<unscheduled, Threads>;
  using word = typename stack::link;

  /// A slot and its word.
  struct place {
    void* slot;
    word* state;
  };

  explicit slot_pool(const slot_shape& shape) noexcept : shape_(shape), chunks_(shape.chunk_bytes) {}
  slot_pool(const slot_pool&) = delete;
  slot_pool& operator=(const slot_pool&) = delete;

  /// The place of the slot at `p`, in or out, if it is easily found; one without a slot when it is not, or there is
  /// none.
  [[nodiscard]] inline place find_easily(void* p) const noexcept {
    const chunk_table::entry* const e = chunks_.find_easily(p);
    if (e == nullptr) [[unlikely]] {
      return {nullptr, nullptr};
    }
    const std::uint32_t i = shape_.slot_at(address(p) & (shape_.chunk_bytes - 1));
    return i < shape_.slots ? place{p, words_of(*e) + i} : place{nullptr, nullptr};
  }

  /// The place of the slot at `p`, in or out.
  [[nodiscard]] slot_fault find(const void* p, place& at) const noexcept {
    std::uint32_t number = 0;
    return find(p, at, number);
  }

  /// Whether the slot is out.
  [[nodiscard]] static inline bool is_out(const place& at) noexcept {
    return at.state->load(std::memory_order_relaxed) == stack::taken;
  }
  // Says that a slot, which some cache has or had, is out or is not.
  static inline void mark_out(const place& at) noexcept { at.state->store(stack::taken, std::memory_order_relaxed); }
  static inline void mark_idle(const place& at) noexcept { at.state->store(stack::idle, std::memory_order_relaxed); }

  /// A slot, which is then out; null when none is in.
  [[nodiscard]] void* take() noexcept;
  /// Takes back a slot that is out.
  [[nodiscard]] slot_fault put(void* p) noexcept;

  /// Up to `wanted` slots, idle, into `out`: the last of them is the one that came back last. Returns how many: fewer
  /// only when no more are in. Pre: wanted <= max_batch.
  std::size_t take(place* out, std::size_t wanted) noexcept;
  /// Takes back idle slots, the last of them to come out first.
  void put(const place* in, std::size_t count) noexcept;

  static constexpr std::size_t max_batch = 64;

  /// Whether there can be one more chunk.
  [[nodiscard]] bool may_add() const noexcept;
  /// Bytes to bring with the next chunk for its words, aligned as any object; 0 when there are some.
  [[nodiscard]] std::size_t wanted_words() const noexcept;
  /// Makes slots of a chunk. Pre: may_add(), nothing is wanted by chunks().
  void add(void* chunk, void* words) noexcept;

  /// Lets chunks rest whose slots are all in. Whoever asks for a slot meanwhile may find none: as for add(), others have to
  /// wait. O(slots that are in).
  void rest() noexcept;
  /// Chunks that rest.
  [[nodiscard]] inline std::uint32_t resting() const noexcept { return resting_; }
  /// Puts the slots of a chunk that rests in again; false when none does.
  bool wake() noexcept;
  /// Hands a chunk that rests back, of those that would be woken last; null when none does.
  [[nodiscard]] void* take_resting() noexcept;

  /// What the caller brought for a number, slots out or not; afterwards forget(). Pre: no other call is under way.
  struct parts {
    void* chunk;  ///< null when it was handed back
    void* words;
  };
  [[nodiscard]] parts parts_of(std::uint32_t number) const noexcept;
  /// Takes all slots out. Pre: chunks() are cleared next.
  void forget() noexcept {
    (void)free_.take_all();
    resting_ = 0;
  }

  /// Why chunks and words contradict one another, or null. O(slots).
  [[nodiscard]] const char* check() const noexcept;

  [[nodiscard]] inline const slot_shape& shape() const noexcept { return shape_; }
  [[nodiscard]] inline chunk_table& chunks() noexcept { return chunks_; }
  [[nodiscard]] inline const chunk_table& chunks() const noexcept { return chunks_; }
  [[nodiscard]] inline std::size_t words_bytes() const noexcept { return shape_.slots * sizeof(word); }

 private:
  // Where the lifo finds a number's link.
  struct link_words {
    const slot_pool* pool;
    [[nodiscard]] inline word& operator()(std::uint32_t n) const noexcept {
      return words_of(pool->chunks_.at(n >> pool->shape_.number_bits))[n & pool->slot_mask()];
    }
  };
  [[nodiscard]] inline link_words links() const noexcept { return {this}; }

  // Of what the table knows by number or by address.
  template <class Known>
  [[nodiscard]] static inline word* words_of(const Known& r) noexcept {
    return static_cast<word*>(r.aside.load(std::memory_order_relaxed));
  }
  [[nodiscard]] inline std::uint32_t slot_mask() const noexcept { return (std::uint32_t{1} << shape_.number_bits) - 1; }
  [[nodiscard]] inline place place_of(std::uint32_t n) const noexcept {
    const chunk_table::record& r = chunks_.at(n >> shape_.number_bits);
    const std::uint32_t i = n & slot_mask();
    return {r.chunk.load(std::memory_order_relaxed) + i * shape_.slot_bytes, words_of(r) + i};
  }
  [[nodiscard]] slot_fault find(const void* p, place& at, std::uint32_t& number) const noexcept;
  void put_in(std::uint32_t chunk) noexcept;
  [[nodiscard]] inline bool rests(std::uint32_t chunk) noexcept { return chunks_.tally(chunk) == shape_.slots; }

  const slot_shape shape_;
  chunk_table chunks_;
  std::uint32_t resting_ = 0;
  std::uint32_t first_resting_ = 0;  ///< no chunk below it rests
  std::uint32_t end_resting_ = 0;    ///< none from it on
  alignas(64) stack free_;
};

}  // namespace strata::mem
