// SPDX-License-Identifier: Apache-2.0
export module load_generator;

export import :load;
export import :small_machine;
export import :statistics;
