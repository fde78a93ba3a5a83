#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check_refused.sh RECORD SENTENCE: succeeds if RECORD tells of a compile that failed with an error that holds SENTENCE.
record=$1 sentence=$2
if grep -q '^exit 0$' "$record"; then
  echo "It compiled. It must be refused with: $sentence"
elif ! grep ' error: ' "$record" | grep -qF -- "$sentence"; then
  echo "It was refused, but not with: $sentence"
  echo "The compiler said:"
  cat "$record"
else
  exit 0
fi
exit 1
