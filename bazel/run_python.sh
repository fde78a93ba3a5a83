#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run_python.sh PROGRAM ARGUMENTS…: for python_test; imports are looked for where it is started.
PYTHONPATH=$PWD PYTHONDONTWRITEBYTECODE=1 exec python3 "$@"
