// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace dhub {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr,
               "level=fatal msg=\"invariant broken, stopping before anything is committed\" check=\"%s\" at=%s:%d\n",
               condition, file, line);
  std::abort();
}

}  // namespace dhub
