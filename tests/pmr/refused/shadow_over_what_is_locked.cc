// SPDX-License-Identifier: Apache-2.0
import strata.pmr;

namespace sp = strata::pmr;

int main() {
  sp::page_resource pages;
  sp::locked_adaptor locked(&pages);
  sp::shadow_resource shadow(&locked);
}
