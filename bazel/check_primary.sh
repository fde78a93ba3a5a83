#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_primary.sh OUT PRIMARY PARTITION…: writes OUT if PRIMARY says `export import :PARTITION;` for each. The
# compiler does not notice a partition that is built into a module but not re-exported: importers just do not see it.
out=$1 primary=$2
shift 2
failed=
for partition; do
  grep -q "^export import :$partition;" "$primary" && continue
  echo "$primary: partition ':$partition' is built into this module, but the primary does not re-export it:" \
    "add \`export import :$partition;\`, or importers will not see it" >&2
  failed=1
done
[ -z "$failed" ] && : >"$out"
