// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "eventlog/kafka/kafka_log.h"
#include "model/doctor.h"

namespace dhub::kafka {

// What `dhub doctor` finds out about a cluster: settings, brokers, login, rights. Changes nothing there; takes at most
// about ten seconds when nobody answers.
[[nodiscard]] std::vector<DoctorCheck> diagnose(const KafkaOptions& options);

}  // namespace dhub::kafka
