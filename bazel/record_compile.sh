#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# record_compile.sh COMPILER ARGUMENTS… -o RECORD …: writes `exit N` and what the compiler said to RECORD; always
# succeeds. One message a line, without colours or source lines, which may quote the sentence looked for.
record= previous=
for argument; do
  [ "$previous" = -o ] && record=$argument
  previous=$argument
done
said=$("$@" -fno-color-diagnostics -fno-caret-diagnostics 2>&1)
printf 'exit %s\n%s\n' "$?" "$said" >"$record"
