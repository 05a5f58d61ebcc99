// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/time.h"
#include "model/pipeline.h"

namespace dhub::scaling {

// What the decision looks at. All of it is data: no clock is read, no process is asked.
struct Observations {
  Instant now{};
  std::int64_t runnable = 0;             // events that could begin now, given an instance
  std::int64_t blocked = 0;              // events behind their key: work, but not for one more instance
  std::int64_t in_flight = 0;            // events at an instance
  std::optional<Duration> service_time;  // of one event; 10 ms until measured
  std::int32_t starting = 0;             // instances of the current version, by state
  std::int32_t idle = 0;
  std::int32_t busy = 0;
  std::int32_t leaving = 0;                   // draining, or of an older version: they count against max_instances
  std::optional<Instant> longest_idle_since;  // of the idle ones, the one that has been so longest
  Instant last_activity{};                    // when there was last any work
  std::int32_t held_up =
      0;  // busy ones that run an event which takes far longer than the others: no help to what waits
};

// What settled the number.
enum class Cause : std::uint8_t {
  NoWork,        // nothing that could run
  Work,          // the work divided by what one instance does in target_delay
  AtOnce,        // fewer: the rest could not run at the same time
  HeldUp,        // more: instances that something long holds up do not count while others wait
  MaxInstances,  // fewer: max_instances
  Busy,          // more: instances that have work are left to finish it
  MinInstances,  // more: min_instances
};

// What to do about it.
struct Plan {
  std::int32_t wanted = 0;  // instances that the work asks for
  Cause cause = Cause::NoWork;
  std::int32_t start = 0;                // to start now
  std::int32_t drain_idle = 0;           // idle ones to end now, the longest idle first
  std::optional<Instant> reconsider_at;  // decide again at the latest; none: when something happens
};

// Instances = ceil(events x service time / (target_delay x concurrency)), at least one when any event can run, and as
// many more as an event of unusual length holds up while others wait; never more than could have something to do (busy
// ones, and one for each runnable event), at most max_instances, at least min_instances, and never below what is busy.
// Surplus instances end only when they are idle and after idle_timeout of their own idleness, one a decision
// (`reconsider_at` brings the next); so without work there are none after that.
[[nodiscard]] Plan decide(const Observations& seen, const Scaling& scaling);

// The decision in one sentence with its numbers, for status:
// "8 instances: 5000 events x 12.5ms / 1s = 62.5, at most 8 (max_instances)."
// Worth making when `wanted` or `cause` has changed.
[[nodiscard]] std::string explain(const Observations& seen, const Scaling& scaling, const Plan& plan);

}  // namespace dhub::scaling
