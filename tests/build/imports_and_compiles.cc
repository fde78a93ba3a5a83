// SPDX-License-Identifier: Apache-2.0
import strata.build_probe;

// The sentence another test looks for, in a place where it is no error: a source line.
int main() { return strata::build_probe::implementation_facts().assertions ? 1 : 0; }
