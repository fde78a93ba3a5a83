// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstring>

namespace strata::test {

/// Ends the process, by name, when what it watches has not come to its end in time: for what would hang if it were wrong.
/// One at a time; uses SIGALRM. The time is for a machine under load: whoever is right never meets it.
class watchdog {
 public:
  explicit watchdog(const char* watched, unsigned seconds = 120) noexcept {
    std::strncpy(name(), watched, room - 1);
    std::signal(SIGALRM, bark);
    ::alarm(seconds);
  }
  ~watchdog() {
    ::alarm(0);
    std::signal(SIGALRM, SIG_DFL);
  }
  watchdog(const watchdog&) = delete;
  watchdog& operator=(const watchdog&) = delete;

 private:
  static constexpr std::size_t room = 128;

  [[nodiscard]] static char* name() noexcept {
    static char text[room];
    return text;
  }
  static void say(const char* text) noexcept { static_cast<void>(::write(STDERR_FILENO, text, std::strlen(text)) < 0); }
  [[noreturn]] static void bark(int /*signal*/) noexcept {
    say("watchdog: hangs: ");
    say(name());
    say("\n");
    ::_exit(1);
  }
};

}  // namespace strata::test
