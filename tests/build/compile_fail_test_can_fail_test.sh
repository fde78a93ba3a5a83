#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# compile_fail_test can fail:
#   - on a source that compiles, and says so;
#   - on a source that is refused with another sentence, and shows what the compiler said.
check=$1 good=$2 bad=$3
failures=0

# expect_failure RECORD SENTENCE COMPLAINT
expect_failure() {
  if complaint=$("$check" "$1" "$2"); then
    echo "passed on $1 with '$2'" >&2
    failures=1
  elif ! printf '%s\n' "$complaint" | grep -qF "$3"; then
    printf "complained, but not with '%s':\n%s\n" "$3" "$complaint" >&2
    failures=1
  fi
}

expect_failure "$good" "any sentence" "It compiled."
expect_failure "$good" "" "It compiled."
expect_failure "$bad" "a sentence of another assertion" "a static_assert can say why"
"$check" "$bad" "a static_assert can say why" || failures=1
exit $failures
