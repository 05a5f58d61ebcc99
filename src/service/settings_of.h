// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "delivery/settings.h"
#include "model/pipeline.h"
#include "model/trigger.h"
#include "ports/compute_backend.h"
#include "service/slots.h"

namespace dhub::service {

// What each part needs to know of a trigger's definition. `cores` stands in for max_instances where none is given.
[[nodiscard]] delivery::EngineSettings engine_settings(const Trigger& trigger, const Definition& definition,
                                                       std::int32_t cores, std::uint64_t seed,
                                                       const delivery::EngineLimits& limits);
[[nodiscard]] delivery::VersionSettings version_settings(const Trigger& trigger, const Definition& definition,
                                                         std::int32_t cores);
[[nodiscard]] InstanceSpecRef instance_spec(const Trigger& trigger, const Definition& definition);
[[nodiscard]] Claim claim_of(const Definition& definition, std::int32_t cores);
[[nodiscard]] Scaling resolved_scaling(const Definition& definition, std::int32_t cores);

}  // namespace dhub::service
