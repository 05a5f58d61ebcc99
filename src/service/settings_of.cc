// SPDX-License-Identifier: Apache-2.0
#include "service/settings_of.h"

#include <algorithm>

namespace dhub::service {

Scaling resolved_scaling(const Definition& definition, std::int32_t cores) {
  Scaling scaling = definition.options.scaling;
  if (scaling.max_instances == 0) scaling.max_instances = std::max({cores, scaling.min_instances, 1});
  return scaling;
}

Claim claim_of(const Definition& definition, std::int32_t cores) {
  const Scaling scaling = resolved_scaling(definition, cores);
  if (definition.steps.empty() && scaling.min_instances == 0) return {};  // it needs none
  return {std::min(scaling.min_instances, scaling.max_instances), definition.options.limits.memory_bytes};
}

delivery::VersionSettings version_settings(const Trigger& trigger, const Definition& definition, std::int32_t cores) {
  delivery::VersionSettings settings;
  settings.version = trigger.version;
  settings.retry = definition.options.retry;
  settings.dead_letter_topic = definition.options.dead_letter_topic;
  for (const auto& step : definition.steps) settings.step_names.push_back(step.name);
  const Scaling scaling = resolved_scaling(definition, cores);
  settings.max_instances = scaling.max_instances;
  settings.concurrency = scaling.concurrency;
  return settings;
}

delivery::EngineSettings engine_settings(const Trigger& trigger, const Definition& definition, std::int32_t cores,
                                         std::uint64_t seed, const delivery::EngineLimits& limits) {
  delivery::EngineSettings settings;
  settings.topic = trigger.topic_name;
  settings.ordering = definition.options.ordering;
  settings.current = version_settings(trigger, definition, cores);
  settings.seed = seed;
  settings.limits = limits;
  return settings;
}

InstanceSpecRef instance_spec(const Trigger& trigger, const Definition& definition) {
  auto spec = std::make_shared<InstanceSpec>();
  spec->pipeline_id = trigger.pipeline_id;
  spec->version = trigger.version;
  spec->steps = definition.steps;
  spec->env = definition.options.env;
  spec->interpreter = definition.options.interpreter;
  spec->limits = definition.options.limits;
  spec->timeout = definition.options.timeout;
  spec->concurrency = definition.options.scaling.concurrency;
  return spec;
}

}  // namespace dhub::service
