// SPDX-License-Identifier: Apache-2.0
export module strata_tools;

export import :meminfo;
