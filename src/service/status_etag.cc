// SPDX-License-Identifier: Apache-2.0
#include "service/status_etag.h"

#include <fmt/format.h>
#include <functional>

namespace dhub::service {

std::string status_etag(const TriggerStatus& status) {
  std::string text =
      fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", status.trigger.generation, status.trigger.version,
                  static_cast<int>(status.trigger.desired), status.ready, status.instances, status.instances_ready,
                  status.instances_wanted, status.scaling_reason, status.in_flight, status.in_flight_bound,
                  status.last_error, status.succeeded, status.filtered, status.dead_lettered, status.failed_attempts);
  for (const auto& c : status.conditions) text += fmt::format("|{}{}{}{}", c.type, c.ok, c.reason, c.message);
  for (const auto& p : status.partitions)
    text += fmt::format("|{}:{}:{}:{}:{}:{}", p.partition, p.cursor, p.end, p.waiting, p.in_flight, p.retrying);
  return fmt::format("{:016x}", std::hash<std::string>{}(text));
}

}  // namespace dhub::service
