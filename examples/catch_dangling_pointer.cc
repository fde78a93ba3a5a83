// SPDX-License-Identifier: Apache-2.0
// A bug with an iterator, caught where it happens. A loop over a table closes the sessions that are idle. Closing one
// erases it from the table, and the loop goes on from where it was: a node that is no more.
//
//     bazel run //examples:catch_dangling_pointer             the bug: a report, then the fault
//     bazel run //examples:catch_dangling_pointer -- fixed    the same without the bug
//
// With an ordinary heap the loop reads freed memory, which as a rule still holds what it held; it works, until one day
// another thread has that memory.
#include <cstddef>
#include <cstdio>
#include <map>
#include <memory_resource>
#include <string>
#include <string_view>

#include "absl/debugging/symbolize.h"

import strata.pmr;
namespace sp = strata::pmr;

/// In the table's memory, text and all.
struct session {
  using allocator_type = std::pmr::polymorphic_allocator<>;
  explicit session(allocator_type where) : user(where) {}

  std::pmr::string user;
  int idle_minutes = 0;
};

/// Who is logged in. Functions are not inlined, so that reports name the same ones in every build.
class session_table {
 public:
  explicit session_table(std::pmr::memory_resource* memory) : sessions_(memory) {}

  [[gnu::noinline]] void open(int number, std::string_view user, int idle_minutes);
  [[gnu::noinline]] bool close(int number);
  [[gnu::noinline]] int close_idle();
  [[gnu::noinline]] int close_idle_fixed();

 private:
  std::pmr::map<int, session> sessions_;
};

void session_table::open(int number, std::string_view user, int idle_minutes) {
  session& fresh = sessions_[number];
  fresh.user = user;
  fresh.idle_minutes = idle_minutes;
}

bool session_table::close(int number) { return sessions_.erase(number) == 1; }

// The bug. close() looks harmless here, and what it erases is what `each` points to; the next ++ reads it.
int session_table::close_idle() {
  int closed = 0;
  for (auto each = sessions_.begin(); each != sessions_.end(); ++each) {
    if (each->second.idle_minutes > 30 && close(each->first)) ++closed;
  }
  return closed;
}

// Without it: the iterator has left before its node goes.
int session_table::close_idle_fixed() {
  int closed = 0;
  for (auto each = sessions_.begin(); each != sessions_.end();) {
    const auto here = each++;
    if (here->second.idle_minutes > 30 && close(here->first)) ++closed;
  }
  return closed;
}

int main(int argc, char** argv) {
  absl::InitializeSymbolizer(argv[0]);
  if (sp::report_faults().failed()) std::puts("faults will not be explained");

  // Each node on a page of its own, which faults from the moment the node is deallocated.
  sp::stack memory{sp::pages{}, sp::slabs{}, sp::shadow{.name = "sessions"}};
  session_table table(&memory);
  table.open(1, "ada", 2);
  table.open(2, "grace, who has been away for some time", 45);
  table.open(3, "barbara", 0);

  const bool fixed = argc > 1 && std::string_view(argv[1]) == "fixed";
  std::printf("closing idle sessions\n");
  std::fflush(stdout);
  const int closed = fixed ? table.close_idle_fixed() : table.close_idle();
  std::printf("%d closed\n", closed);
  memory.write_report(stdout);
}
