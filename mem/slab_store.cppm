// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"

export module strata.mem:slab_store;

import :bytes;
import :decay;
import :depot;
import :mutex;
import :page_run;
import :size_class;
import :slab;
import :span_table;
import :threads;

import strata.platform;

/// All slabs of one resource: where free slots that no thread has in its cache are kept, by class.
///
/// Slots move in batches. keep() leaves them in the class's depot as long as that is small, about a processor's cache
/// worth, so that what is still warm passes from hand to hand; beyond, put() returns each to its slab. take() empties
/// the depot first, then fills up from one slab after the other, lowest address first. A slab whose slots are all free goes back to its span at once, unless it is the last one its class could
/// take from; another class may then have its units. The fullest slabs are taken from first, so that others empty. Spans are asked for and given back by the layer above, outside
/// every lock.
///
/// The bits catch a slot put back twice and a slot of another class; not before it comes back, though. A checked store
/// can tell at once: see hand_out().
///
/// Locks: one a class, and one for the spans, which is taken last. A fork takes them all. Nothing throws or allocates.
export namespace strata::mem {

struct slab_counters {
  std::size_t span_bytes = 0;   ///< in spans
  std::size_t slot_bytes = 0;   ///< in slots that were taken and not put back
  std::size_t slots = 0;        ///< count of those
  std::size_t slabs = 0;        ///< count
  std::size_t depot_slots = 0;  ///< slots in depots: put back, but in no slab yet
  std::size_t depot_bytes = 0;  ///< of the pieces depots are made of
};

/// How a store works.
struct slab_plan {
  std::size_t units = 1;                           ///< least units of a slab: a power of two, at most slab::max_units
  bool checked = false;                            ///< hand_out() and take_in() will be called
  std::size_t depot_bytes = std::size_t{8} << 20;  ///< of slots in the depots of all classes, at most; 0: no depots
  decay_period decay{no_decay};                    ///< of what let_go() finds unused
};

/// A slot a store would not take, and why.
struct refused_slot {
  slab_fault fault = slab_fault::none;
  const void* slot = nullptr;
};

template <threads Threads>
class slab_store {
 public:
  explicit slab_store(slab_plan plan = {}) noexcept;
  ~slab_store();
  slab_store(const slab_store&) = delete;
  slab_store& operator=(const slab_store&) = delete;

  /// Moves up to `wanted` slots of class `c` to `out`, in falling addresses slab by slab. Returns how many: 0 only when
  /// a span is needed.
  std::size_t take(std::size_t c, void** out, std::size_t wanted) noexcept;

  /// Most bytes of slots in the depot of one class.
  static constexpr std::size_t class_depot_bytes = std::size_t{1} << 20;

  /// Takes `count` slots of class `c` back into the depot, or where there is no room as put() does. What is wrong with
  /// one that stays in the depot shows when it leaves it.
  refused_slot keep(std::size_t c, void* const* slots, std::size_t count) noexcept;

  /// Takes `count` slots of class `c` back into their slabs. What is not such a slot, or is free already, is left out; the first of
  /// those is returned. Pre: each lies in a span.
  refused_slot put(std::size_t c, void* const* slots, std::size_t count) noexcept;
  /// The same for slots that nobody had any use for: their class does not count as used.
  refused_slot put_unused(std::size_t c, void* const* slots, std::size_t count) noexcept;

  /// Marks a slot as the user's. Pre: it was taken; the store is checked.
  void hand_out(void* slot) noexcept;

  /// Takes the mark away, or says what keeps `p`, which may be any address, from being a slot of class `c` that is the
  /// user's. Of several threads one at most succeeds. Pre: the store is checked.
  [[nodiscard]] slab_fault take_in(std::size_t c, const void* p) noexcept;

  /// What keeps `p`, which may be any address, from being a slot of class `c`, whether it is free or not; nothing has changed.
  /// Pre: this build is checked (mem::checked).
  [[nodiscard]] slab_fault judge(std::size_t c, const void* p) const noexcept;

  [[nodiscard]] inline bool is_checked() const noexcept { return plan_.checked; }

  /// Takes memory into use. Pre: span_bytes long, aligned to span_bytes.
  void add_span(void* memory) noexcept;

  /// Forgets a span without slabs and returns it, if more than `keep` bytes of spans have none; else null.
  void* remove_empty_span(std::size_t keep) noexcept;

  /// Bytes of spans without slabs. Looks without a lock, so the answer may be old.
  [[nodiscard]] inline std::size_t empty_bytes() const noexcept { return empty_spans_.get() * span_bytes; }

  /// Empties the depots and gives slabs without used slots back to their spans, also those classes hold on to. The memory
  /// behind what is free in spans that hold slabs goes back to the OS. Returns the first slot a slab would not take.
  refused_slot drop_empty_slabs() noexcept;

  struct unused {
    refused_slot refused;        ///< the first slot a slab would not take
    std::size_t span_bytes = 0;  ///< of spans without slabs that may go
  };
  /// What was kept unused for the plan's decay goes back, at `now`: slots from depots to their slabs, slabs to their spans.
  /// `found`: bytes of spans without slabs that have just come of what was not used for so long; they may go too.
  unused let_go(std::uint64_t now, std::size_t found = 0) noexcept;

  /// Forgets every span and returns them, linked by span::next. Pre: no other call is under way.
  span* clear() noexcept;

  [[nodiscard]] slab_counters counters() const noexcept;

  /// Verifies slabs, lists and counters against one another. Null when all is well, else what is wrong.
  [[nodiscard]] const char* check() const noexcept;

 private:
  struct class_store {
    mutable small_mutex_for<Threads> lock;
    slab* current ABSL_GUARDED_BY(lock) = nullptr;                         ///< taken from first; in no list
    std::array<slab*, slab::shelves + 1> shelves ABSL_GUARDED_BY(lock){};  ///< last in first out; 0 stays empty
    mem::depot depot ABSL_GUARDED_BY(lock);
    std::size_t taken ABSL_GUARDED_BY(lock) = 0;  ///< slots in no slab
    std::size_t slabs ABSL_GUARDED_BY(lock) = 0;
    std::size_t low ABSL_GUARDED_BY(lock) = 0;   ///< least slots in the depot since the last look
    bool touched ABSL_GUARDED_BY(lock) = false;  ///< slabs were taken from, or became free, since then
    idleness idle ABSL_GUARDED_BY(lock);
  };

  static void lock_classes(void* store) noexcept;
  static void unlock_classes(void* store) noexcept;
  [[nodiscard]] std::size_t take_from_slabs(class_store& store, std::size_t c, void** out, std::size_t wanted) noexcept
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(store.lock);
  refused_slot put_into_slabs(class_store& store, std::size_t c, void* const* slots, std::size_t count) noexcept
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(store.lock);
  [[nodiscard]] bool depot_has_room(const class_store& store, std::size_t c, std::size_t count) const noexcept
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(store.lock);
  refused_slot empty_depot(class_store& store, std::size_t c) noexcept;
  refused_slot move_from_depot(class_store& store, std::size_t c, std::size_t count) noexcept
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(store.lock);
  refused_slot shrink_depot(class_store& store, std::size_t c, std::size_t& depot_bytes) noexcept;
  void drop_slabs_of(class_store& store) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(store.lock);
  [[nodiscard]] void* remove_piece(class_store& store) noexcept;
  [[nodiscard]] void* take_piece() noexcept;
  void put_piece(void* piece) noexcept;
  void make_known(span* added) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(span_lock_);
  void unmap_table() noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(span_lock_);
  [[nodiscard]] slab* make_slab(std::size_t c) noexcept;
  [[nodiscard]] span*& list_of(const span* s) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(span_lock_);
  [[nodiscard]] slab* next_slab(class_store& store, std::size_t c) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(store.lock);
  void move(class_store& store, slab* s, std::uint8_t shelf) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(store.lock);
  void settle(class_store& store, slab* s) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(store.lock);
  void unmake(class_store& store, slab* s) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(store.lock);

  const slab_plan plan_;
  mutable mutex_for<Threads> span_lock_{"of a slab store's spans"};
  span* empty_ ABSL_GUARDED_BY(span_lock_) = nullptr;    ///< no unit in use
  span* partial_ ABSL_GUARDED_BY(span_lock_) = nullptr;  ///< some
  span* full_ ABSL_GUARDED_BY(span_lock_) = nullptr;     ///< all
  std::size_t spans_ ABSL_GUARDED_BY(span_lock_) = 0;
  tally<Threads> empty_spans_;
  tally<Threads> in_depots_;                               ///< bytes of slots
  tally<Threads> low_depots_;                              ///< least of them since the last look
  std::size_t low_empty_ ABSL_GUARDED_BY(span_lock_) = 0;  ///< least bytes of spans without slabs since then
  decay depots_decay_ ABSL_GUARDED_BY(span_lock_);
  decay spans_decay_ ABSL_GUARDED_BY(span_lock_);
  span_table table_;  ///< changed under span_lock_, and only when this store or this build is checked
  std::array<page_run, span_table::growths> own_pages_
      ABSL_GUARDED_BY(span_lock_){};  ///< the table's, but of a checked store
  std::array<class_store, size_class::count> classes_;
  platform::fork_hook around_fork_;  ///< takes the locks of all classes; made after span_lock_, so before it
};

}  // namespace strata::mem
