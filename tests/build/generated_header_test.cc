// SPDX-License-Identifier: Apache-2.0
//
// A unit that imports modules finds generated headers by their path in the repository.
#include "tests/build/generated.h"

import strata.build_probe;

int main() { return generated == 42 && strata::build_probe::interface_facts().standard >= 202002L ? 0 : 1; }
