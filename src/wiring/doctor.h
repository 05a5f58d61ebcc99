// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "base/environment.h"
#include "cli/command_line.h"
#include "model/doctor.h"
#include "wiring/config.h"

namespace dhub::wiring {

// What can be found out about one cluster; may take seconds.
using DiagnoseCluster = std::function<std::vector<DoctorCheck>(const ClusterConfig&)>;

// `dhub doctor`: looks at everything that a server of this configuration needs and says what is wrong and what to do.
// Changes nothing; the server may run or not. Answers the exit code: 1 when a check failed.
[[nodiscard]] int doctor(const cli::ServerFlags& flags, const Environment& environment, const cli::OutputFlags& output,
                         cli::Console& console, const DiagnoseCluster& diagnose_cluster);

}  // namespace dhub::wiring
