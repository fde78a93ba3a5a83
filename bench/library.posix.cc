// SPDX-License-Identifier: Apache-2.0
module;
#include <dlfcn.h>

module bench:library.posix;

import :library;
import :subject;

namespace bench {

library::library(const char* file) : handle_(::dlopen(file, RTLD_NOW | RTLD_LOCAL)) {
  if (handle_ == nullptr) throw absent(::dlerror());
}

void* library::find(const char* name) const {
  void* const found = ::dlsym(handle_, name);
  if (found == nullptr) throw absent(::dlerror());
  return found;
}

}  // namespace bench
