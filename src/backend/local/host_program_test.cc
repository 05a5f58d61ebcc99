// SPDX-License-Identifier: Apache-2.0
// The test program is also the program that the tests run as host.
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>

#include "runner/host.h"

int main(int argc, char** argv) {
  if (argc == 4 && std::strcmp(argv[1], "runner") == 0) return dhub::runner::run_host(std::atoi(argv[3]));
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
