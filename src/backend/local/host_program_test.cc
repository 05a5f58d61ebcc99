// SPDX-License-Identifier: Apache-2.0
// The test program is also the program that the tests run as host.
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <optional>
#include <string_view>

#include "runner/host.h"

namespace {

// dhub-host-<isolation>, a link to this program.
std::optional<dhub::runner::Isolation> isolation_of(std::string_view name) {
  if (name.ends_with("-user_namespace")) return dhub::runner::Isolation::UserNamespace;
  if (name.ends_with("-none")) return dhub::runner::Isolation::None;
  return std::nullopt;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && std::strcmp(argv[1], "runner") == 0)
    return dhub::runner::run_host(std::atoi(argv[3]), isolation_of(argv[0]));
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
