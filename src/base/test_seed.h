// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdlib>

#include "base/random.h"

namespace dhub {

// For tests: DHUB_TEST_SEED when it is set, so that a failure can be run again; else `otherwise`. Say in a failure
// which it was.
[[nodiscard]] inline std::uint64_t test_seed_or(std::uint64_t otherwise) {
  const char* given = std::getenv("DHUB_TEST_SEED");
  return given == nullptr || *given == '\0' ? otherwise : std::strtoull(given, nullptr, 0);
}
[[nodiscard]] inline std::uint64_t test_seed() {
  return test_seed_or(fresh_seed());
}

}  // namespace dhub
