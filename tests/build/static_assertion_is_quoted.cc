// SPDX-License-Identifier: Apache-2.0
static_assert(sizeof(int) == 1, "a static_assert can say why in its own message, isn't it");
