#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A primary interface that forgets a partition is refused:
#   - by file, partition and remedy, each forgotten one named;
#   - a commented-out, unexported or similarly named import does not count.
check=$1
primary=$TEST_TMPDIR/floor.cppm
out=$TEST_TMPDIR/checked
failures=0

fail() {
  echo "$*" >&2
  failures=1
}

cat >"$primary" <<'END'
export module strata.floor;

export import :first;
export import :second;  // with a remark
import :hidden;
// export import :commented;
export import :longer_name;
END

"$check" "$out" "$primary" first second longer_name || fail "refused a complete primary"
[ -e "$out" ] || fail "wrote no output for a complete primary"

for forgotten in hidden commented longer name; do
  rm -f "$out"
  said=$("$check" "$out" "$primary" first "$forgotten" second 2>&1) && fail "accepted a primary without :$forgotten"
  [ ! -e "$out" ] || fail "wrote the output although :$forgotten is missing"
  expected="$primary: partition ':$forgotten' is built into this module, but the primary does not re-export it: \
add \`export import :$forgotten;\`, or importers will not see it"
  [ "$said" = "$expected" ] || fail "said: $said"
done

said=$("$check" "$out" "$primary" hidden commented 2>&1)
[ "$(printf '%s\n' "$said" | wc -l)" -eq 2 ] || fail "did not name both: $said"
exit $failures
