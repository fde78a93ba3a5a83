// SPDX-License-Identifier: Apache-2.0
module;

export module strata.mem:image;

import strata.platform;

/// The platform's list of the code in this process, passed on, for whoever writes addresses down.
export namespace strata::mem {

using platform::image;
using platform::image_at;

}  // namespace strata::mem
