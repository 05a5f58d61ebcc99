// SPDX-License-Identifier: Apache-2.0
#include "scaling/decide.h"

#include <algorithm>
#include <cmath>

#include "scaling/work.h"

namespace dhub::scaling {
namespace {

// Lowers or raises the number to `bound` and takes note of why.
void at_most(std::int64_t bound, Cause cause, std::int64_t& wanted, Plan& plan) {
  if (wanted <= bound) return;
  wanted = bound;
  plan.cause = cause;
}
void at_least(std::int64_t bound, Cause cause, std::int64_t& wanted, Plan& plan) {
  if (wanted >= bound) return;
  wanted = bound;
  plan.cause = cause;
}

void settle_number(const Observations& seen, const Scaling& scaling, Plan& plan) {
  // Beyond this the bounds below decide anyway.
  constexpr double kMost = 1e9;
  std::int64_t wanted = 0;
  if (seen.runnable + seen.in_flight > 0) {
    plan.cause = Cause::Work;
    wanted = static_cast<std::int64_t>(std::clamp(std::ceil(asked_for(seen, scaling)), 1.0, kMost));
  }
  if (seen.runnable > 0 && seen.held_up > 0) at_least(wanted + seen.held_up, Cause::HeldUp, wanted, plan);
  at_most(seen.busy + seen.runnable, Cause::AtOnce, wanted, plan);
  at_most(scaling.max_instances, Cause::MaxInstances, wanted, plan);
  at_least(std::min(seen.busy, scaling.max_instances), Cause::Busy, wanted, plan);
  at_least(std::min(scaling.min_instances, scaling.max_instances), Cause::MinInstances, wanted, plan);
  plan.wanted = static_cast<std::int32_t>(wanted);
}

}  // namespace

double asked_for(const Observations& seen, const Scaling& scaling) {
  const auto time = static_cast<double>(service_time(seen).count());
  const auto patience = static_cast<double>(std::max<std::int64_t>(scaling.target_delay.count(), 1));
  return static_cast<double>(events(seen)) * time / patience / std::max(scaling.concurrency, 1);
}

Plan decide(const Observations& seen, const Scaling& scaling) {
  Plan plan;
  settle_number(seen, scaling, plan);
  const std::int32_t present = seen.starting + seen.idle + seen.busy;
  const std::int32_t room = scaling.max_instances - present - seen.leaving;
  plan.start = std::clamp(plan.wanted - present, 0, std::max(room, 0));
  const bool surplus = present > plan.wanted && seen.idle > 0 && seen.longest_idle_since;
  if (!surplus) return plan;
  const Instant due = *seen.longest_idle_since + scaling.idle_timeout;
  if (seen.now < due) {
    plan.reconsider_at = due;
    return plan;
  }
  plan.drain_idle = 1;
  // When the others became idle is not seen here: look again as soon as this one is out of the way.
  if (seen.idle > 1 && present - 1 > plan.wanted) plan.reconsider_at = seen.now;
  return plan;
}

}  // namespace dhub::scaling
