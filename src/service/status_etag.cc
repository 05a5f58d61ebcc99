// SPDX-License-Identifier: Apache-2.0
#include "service/status_etag.h"

#include <fmt/format.h>
#include <functional>

namespace dhub::service {

std::string status_etag(const TriggerStatus& status) {
  const Trigger& trigger = status.trigger;
  std::string text =
      fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", trigger.generation, trigger.version,
                  trigger.position, static_cast<int>(trigger.desired), status.ready, status.instances,
                  status.instances_ready, status.instances_wanted, status.scaling_reason, status.in_flight,
                  status.in_flight_bound, status.last_error, status.last_error_at ? status.last_error_at->ms : 0,
                  status.succeeded, status.filtered, status.dead_lettered, status.expired, status.failed_attempts);
  for (const auto& c : status.conditions)
    text += fmt::format("|{}|{}|{}|{}|{}", c.type, c.ok, c.reason, c.message, c.next_action);
  for (const auto& p : status.partitions)
    text += fmt::format("|{}:{}:{}:{}:{}:{}:{}", p.partition, p.cursor, p.end_known ? p.end.value : -1, p.waiting,
                        p.in_flight, p.retrying, p.blocked_by ? p.blocked_by->value : -1);
  return fmt::format("{:016x}", std::hash<std::string>{}(text));
}

}  // namespace dhub::service
