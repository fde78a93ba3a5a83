#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# scan_unit.sh COMPILER ARGUMENTS… -o SCAN …: writes to SCAN which modules the unit provides and requires (P1689).
scan= previous=
for argument; do
  [ "$previous" = -o ] && scan=$argument
  previous=$argument
done
clang-scan-deps-19 -format=p1689 -- "$@" >"$scan"
