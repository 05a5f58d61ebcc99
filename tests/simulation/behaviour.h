// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "model/run.h"

namespace dhub::simulation {

// What simulated user code does with an event.
struct Behaviour {
  OutcomeKind kind = OutcomeKind::Succeeded;
  std::optional<Duration> takes;  // none: as long as usual
  std::optional<Duration> retry_after;
  std::vector<std::string> publishes_to;
};

// Read from the message's value, words apart by spaces: `skip`, `reject`, `fail`, `crash`, `hang`, `oom` (with `:2`
// only the first two attempts), `takes:250ms`, `retry_after:5s`, `to:topic`. All else succeeds.
[[nodiscard]] Behaviour behaviour_of(std::string_view value, std::int32_t attempt);

}  // namespace dhub::simulation
