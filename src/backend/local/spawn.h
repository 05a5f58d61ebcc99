// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "base/result.h"

namespace dhub::local {

// Descriptor `from` of ours becomes `to` of the child's.
struct Handed {
  int from;
  int to;
};

// Runs a program in a session of its own, with a clean environment (PATH, HOME, LANG, LC_ALL, TZ) and the given
// descriptors; standard input is empty when it is not given, standard error is ours, all others are closed. The targets
// must rise. Unavailable when the program cannot be run.
[[nodiscard]] Result<pid_t> spawn_process(std::vector<std::string> arguments, const std::vector<Handed>& descriptors);

}  // namespace dhub::local
