// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>

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
/// Any thread. Nothing throws; promise() may take memory from the OS. The lock is only over the book; nobody else is called
/// under it.
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

  // --- a block comes: promise(), have the keeper find the room, admit() or withdraw()
  /// Null: the OS has no memory for what is to be known of it.
  [[nodiscard]] mem::book_entry* promise() noexcept;
  void withdraw(mem::book_entry* entry) noexcept;
  /// Alignment of a block that may come back with any.
  static constexpr std::size_t any_alignment = 0;
  /// Hides the room, shows the block in it, which is live from now on. Returns where it starts. A room without a front is
  /// the block, and what lies round it is hidden already.
  void* admit(mem::book_entry* entry, const room& in, std::size_t bytes, std::size_t alignment) noexcept;

  // --- a block goes: take_back(), then rooms that are due until there are none
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
  /// Blocks that wait. Who empties the queue looks first how long it is: giving a room back may make others come.
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

}  // namespace strata::pmr
