// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdio>
#include <span>

export module strata.pmr:heap_profile;

import :profile_source;

import strata.mem;

/// Heap profiles as files that pprof reads: profile.proto, in gzip's format.
///
///   pprof -sample_index=inuse_space -tagfocus=resource=orders program heap.pb.gz
///
/// A sample is what came from one call stack: alloc_objects/count, alloc_space/bytes, inuse_objects/count and
/// inuse_space/bytes, the last being what is shown first. Labels say whose memory it is (`resource`) and which layer
/// tells (`layer`). Addresses come with the files they are of and their build ids, so that pprof can name them; a
/// frame's address is one byte before where it returns to, which is in the call. The period is the mean distance of
/// samples, in bytes, the largest if several sources differ; values are not to be scaled by it any more.
///
/// Each place is read on its own, without a lock while the file is written: a profile of memory at work is not of one
/// moment. Takes some 400 KiB from the OS, and 16 bytes and more for each address, until it is written; nothing from any
/// heap, but what the C stream and, when functions are to be named, the C++ library's demangling want.
export namespace strata::pmr {

struct heap_profile_options {
  bool functions = false;  ///< name functions at once, as well as that goes: for readers without the program at hand
};

/// Writes what all of these tell into one file. Any thread, as far as the sources let. Returns what was refused, if
/// anything was: then the file is not whole. The stream is flushed, not closed.
[[nodiscard]] mem::os_error write_heap_profile(std::FILE* out, std::span<const profile_source* const> sources,
                                               const heap_profile_options& options = {}) noexcept;

}  // namespace strata::pmr
