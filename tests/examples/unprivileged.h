// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_TESTS_EXAMPLES_UNPRIVILEGED_H_
#define STRATA_TESTS_EXAMPLES_UNPRIVILEGED_H_

#include <unistd.h>

/// Root may read everything. While one of these lives, root is an ordinary user; nothing changes for anyone else.
class unprivileged {
 public:
  unprivileged() : changed_(::geteuid() == 0 && ::seteuid(65534) == 0) {}
  unprivileged(const unprivileged&) = delete;
  unprivileged& operator=(const unprivileged&) = delete;
  ~unprivileged() {
    if (changed_ && ::seteuid(0) != 0) ::_exit(1);
  }

  /// False where root could not give up its rights: permissions then mean nothing.
  [[nodiscard]] static bool effective() { return ::geteuid() != 0; }

 private:
  bool changed_;
};

#endif  // STRATA_TESTS_EXAMPLES_UNPRIVILEGED_H_
