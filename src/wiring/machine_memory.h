// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace dhub::wiring {

// What this machine has, or the control groups that this process is in allow, whichever is less; cgroups of version 1
// and 2, and those above them. None: nobody can tell. `root`: where /proc and /sys are, for tests.
[[nodiscard]] std::optional<std::uint64_t> machine_memory(const std::string& root = "");

}  // namespace dhub::wiring
