// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <utility>

export module strata.pmr:inspected_blocks;

import :finding;
import :misuse;
import :report;

import strata.mem;

/// The blocks of one keeper while an inspector runs the process (mem:inspector): what is known of each, and which bytes he
/// is told of.
///
///   | hidden: front | block, shown | hidden: to the end of the room |      room: what the keeper was asked for
///
/// A block that comes back is judged before anything changes: another size, another alignment, a second time, an address
/// inside a block or of another keeper's, or of none, are misuse; both keepers are named. Then it is hidden whole and waits:
/// of what was freed last, `most_held` bytes in `most_blocks` at most are not used again. What is known lies apart
/// (mem:block_book), so a pointer is judged without reading what it points to.
///
/// Where nobody inspects this is a name and a null: nothing is made, and no other member is to be called but those that say
/// so.
///
/// The keeper passes what is its own: `find(room& in)` has the keeper find a room and says where it starts; it leaves the
/// start null, or throws, where there is none. `put(const room& due)` makes a room the keeper's again.
///
/// Any thread. Nothing throws but what `find` and `put` do; promise() may take memory from the OS. The lock is only over the
/// book; nobody else is called under it.
namespace strata::pmr {

class inspected_blocks {
 public:
  static constexpr std::size_t most_held = std::size_t{256} << 10;  ///< bytes, of rooms
  static constexpr std::size_t most_blocks = 4096;

  /// `name` is the keeper's, and outlives this.
  explicit inspected_blocks(const char* name) noexcept;
  ~inspected_blocks();
  inspected_blocks(const inspected_blocks&) = delete;
  inspected_blocks& operator=(const inspected_blocks&) = delete;

  /// What the keeper hands out, a block in the middle.
  struct room {
    void* start = nullptr;
    std::size_t bytes = 0;
    std::size_t alignment = 1;
    std::size_t front = 0;  ///< bytes in front of the block
  };
  /// The room for a block with hidden bytes in front of it and behind, its start not known yet. False when no machine has so
  /// much.
  [[nodiscard]] static bool room_for(std::size_t bytes, std::size_t alignment, room& out) noexcept;

  // --- a block comes
  /// The block in a room like `in`. Rather than fail, nothing waits: then `find` is asked once more. Null: `find` left it
  /// so, or the OS has no memory for what is to be known of the block; what `find` throws comes out. Nothing has changed
  /// then, but that nothing waits.
  template <class Find, class Put>
  [[nodiscard]] void* hand_out(room in, std::size_t bytes, std::size_t alignment, const Find& find, const Put& put);

  // --- the same in its steps: promise(), have the keeper find the room, admit() or withdraw()
  /// Null: the OS has no memory for what is to be known of it.
  [[nodiscard]] mem::book_entry* promise() noexcept;
  void withdraw(mem::book_entry* entry) noexcept;
  /// Alignment of a block that may come back with any.
  static constexpr std::size_t any_alignment = 0;
  /// Hides the room, shows the block in it, which is live from now on. Returns where it starts. A room without a front is
  /// the block, and what lies round it is hidden already.
  void* admit(mem::book_entry* entry, const room& in, std::size_t bytes, std::size_t alignment) noexcept;

  // --- a block goes
  /// The block waits, and what has waited long enough is put back; or misuse, which has been reported, and nothing has
  /// changed.
  template <class Put>
  void take_back(const void* p, std::size_t bytes, std::size_t alignment, const Put& put);
  /// Puts back what waits beyond so many bytes, oldest first; where `put` throws, the rest waits on. Does nothing where
  /// nobody inspects.
  template <class Put>
  void give_due(const Put& put, std::size_t more_than = most_held);

  // --- the same in its steps: take_back(), then rooms that are due until there are none
  /// False: misuse, which has been reported, and nothing has changed.
  [[nodiscard]] bool take_back(const void* p, std::size_t bytes, std::size_t alignment) noexcept;
  /// The same, but what is wrong is for the caller to report, as told().
  [[nodiscard]] finding take(const void* p, std::size_t bytes, std::size_t alignment) noexcept;
  /// The same, and the room is the keeper's at once: the block does not wait.
  [[nodiscard]] finding take_for_good(const void* p, std::size_t bytes, std::size_t alignment) noexcept;
  /// Points into `wrong`.
  [[nodiscard]] misuse told(const finding& wrong, const void* p, std::size_t bytes,
                            std::size_t alignment) const noexcept;
  /// The oldest room that waits, if more bytes than that wait, or more blocks than may: it is the keeper's again, hidden as
  /// it is. A null start: none.
  [[nodiscard]] room next_due(std::size_t more_than = most_held) noexcept;
  /// Blocks that wait.
  [[nodiscard]] std::size_t waiting() const noexcept;

  /// What is known of the block that starts at `p`, live or not; a null start: nothing.
  struct known {
    void* start = nullptr;  ///< of its room
    std::size_t bytes = 0;
    std::size_t alignment = 1;
    bool live = false;
  };
  [[nodiscard]] known look_up(const void* p) const noexcept;

  // --- a block stays, and changes. Pre: live, and its room has no front
  /// It has so many bytes from now on, and its room so many.
  void resize(const void* p, std::size_t bytes, std::size_t room_bytes) noexcept;
  /// It lies elsewhere, as it is.
  void move(const void* from, void* to) noexcept;

  /// Whether it is live: neither waiting nor gone. True where nobody inspects.
  [[nodiscard]] bool is_live(const void* p) const noexcept;
  /// Bytes of the live block that starts there; 0 when there is none.
  [[nodiscard]] std::size_t bytes_at(const void* p) const noexcept;

  /// As it was allocated; any_alignment where that may be any, or none is known.
  [[nodiscard]] std::size_t alignment_at(const void* p) const noexcept;

  /// The keeper's figures, in which rooms are live until they are due, as figures of blocks: those that wait are kept. What
  /// it handed out otherwise stays as counted.
  /// Unchanged where nobody inspects.
  [[nodiscard]] statistics over(const statistics& of_rooms) const noexcept;

  /// All blocks are void. Does nothing where nobody inspects.
  void forget_all() noexcept;

 private:
  friend class inspected_list;
  class book;

  [[nodiscard]] finding take(const void* p, std::size_t bytes, std::size_t alignment, bool waits) noexcept;
  [[nodiscard]] finding judge_stranger(const void* p) const noexcept;

  const char* const name_;
  book* const book_;  ///< in pages of its own; null where nobody inspects, and where the OS had none
};

template <class Find, class Put>
void* inspected_blocks::hand_out(room in, std::size_t bytes, std::size_t alignment, const Find& find, const Put& put) {
  struct promised {
    inspected_blocks& blocks;
    mem::book_entry* entry;
    inline ~promised() {
      if (entry != nullptr) blocks.withdraw(entry);
    }
  } known{*this, promise()};
  if (known.entry == nullptr) return nullptr;
  bool again = false;
  try {
    find(in);
    again = in.start == nullptr && waiting() != 0;
  } catch (...) {
    again = waiting() != 0;
    if (!again) throw;
  }
  if (again) {
    give_due(put, 0);
    find(in);
  }
  return in.start == nullptr ? nullptr : admit(std::exchange(known.entry, nullptr), in, bytes, alignment);
}

template <class Put>
void inspected_blocks::take_back(const void* p, std::size_t bytes, std::size_t alignment, const Put& put) {
  if (take_back(p, bytes, alignment)) give_due(put);
}

// How many are due is settled first: putting a room back may make others come.
template <class Put>
void inspected_blocks::give_due(const Put& put, std::size_t more_than) {
  for (std::size_t left = waiting(); left != 0; --left) {
    const room due = next_due(more_than);
    if (due.start == nullptr) return;
    put(due);
  }
}

}  // namespace strata::pmr
