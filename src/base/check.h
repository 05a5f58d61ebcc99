// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace dhub {

// Says what was violated on stderr and aborts. A broken invariant stops the process before it commits a cursor.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace dhub

// For programmer errors only; stays on in release. Input from outside must never reach a CHECK that it can fail.
#define CHECK(condition)                                                    \
  do {                                                                      \
    if (!(condition)) ::dhub::check_failed(#condition, __FILE__, __LINE__); \
  } while (false)
