// SPDX-License-Identifier: Apache-2.0
import strata.build_probe;

int main() { return strata::build_probe::not_exported(); }
