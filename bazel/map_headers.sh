#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# map_headers.sh COMPILER ARGUMENTS… -c HEADER -o MAP: writes to MAP a module map of what HEADER includes by its angled names.
compiler=$1
shift
map= header= previous=
for argument; do
  case $previous in
    -o) map=$argument ;;
    -c) header=$argument ;;
  esac
  previous=$argument
done
name=$(basename "$map" .modulemap)
rule=$("$compiler" "$@" -M -o -) || exit
files=$(echo "$rule" | tr -s ' \\' '\n\n')
{
  echo "module $name [system] {"
  sed -n 's/^#include <\(.*\)>$/\1/p' "$header" | while read -r wanted; do
    echo "$files" | grep -m 1 -E "/c\+\+/[^/]*/$wanted\$" | sed 's/.*/  header "&"/' | grep . || {
      echo "$header: <$wanted> is nowhere" >&2
      exit 1
    }
  done || exit
  echo "  export *"
  echo "}"
} >"$map"
