// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scaling/decide.h"

namespace dhub::scaling {

// Of one event, until it is measured.
constexpr Duration kAssumedServiceTime = milliseconds(10);

[[nodiscard]] inline std::int64_t events(const Observations& seen) {
  return seen.runnable + seen.blocked + seen.in_flight;
}
[[nodiscard]] inline Duration service_time(const Observations& seen) {
  return seen.service_time.value_or(kAssumedServiceTime);
}
// Instances that would finish all events within target_delay, before any bound.
[[nodiscard]] double asked_for(const Observations& seen, const Scaling& scaling);

}  // namespace dhub::scaling
