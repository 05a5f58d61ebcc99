// SPDX-License-Identifier: Apache-2.0
// What a subscription says of itself.
#include <algorithm>
#include <fmt/format.h>

#include "service/source_condition.h"
#include "service/subscription.h"

namespace dhub::service {
namespace {

Condition good(std::string type, std::string reason) {
  return {std::move(type), true, std::move(reason), "", ""};
}

Condition source_condition(bool paused, bool stopping, const std::map<PartitionId, Error>& read_errors,
                           const std::optional<Error>& partitions_error) {
  if (stopping) return {"Source", false, "Stopping", "The trigger is being stopped.", "Wait, then start it again."};
  if (paused) return {"Source", false, "Paused", "The trigger is paused.", "Resume it."};
  if (!read_errors.empty()) return source_failed(read_errors.begin()->second);
  if (partitions_error)
    return {"Source", false, "PartitionsNotTaken", partitions_error->message,
            "Look at the server's log; it is tried again every second."};
  return good("Source", "Reading");
}

Condition service_condition(const std::optional<InstanceEnded>& failure) {
  if (!failure) return good("Service", "AbleToStart");
  return {"Service", false, "InstanceFailedToStart", failure->detail,
          "Correct the pipeline's steps and start the trigger again; until then a start is tried every 30 s at the "
          "latest."};
}

Condition store_condition(const std::optional<Error>& commit_error) {
  if (!commit_error) return good("Store", "Storing");
  const char* action = commit_error->code == ErrorCode::StorageFull
                           ? "Make room on the disk of the data directory; the commit is sent again by itself."
                           : "Look at the server's log; the commit is sent again by itself.";
  return {"Store", false, "CommitRefused", commit_error->message, action};
}

}  // namespace

// Beside the question whether it is ready: what others hold that it could use.
void Subscription::add_waits(TriggerStatus& status) const {
  if (std::string why = pool_.why_it_waits(); !why.empty())
    status.conditions.push_back({"Instances", false, "WaitsForInstances", std::move(why),
                                 "Nothing: triggers take turns. For more at a time raise instances.most or "
                                 "instances.memory, if the machine carries it."});
  const bool has_more = std::any_of(status.partitions.begin(), status.partitions.end(), [this](const auto& partition) {
    return partition.end > engine_.view(partition.partition).next_read;
  });
  if (has_more && engine_.waits_for_bytes())
    status.conditions.push_back({"Memory", false, "OthersHoldBytes",
                                 "Other triggers hold the bytes that may be held; this one reads on when they have "
                                 "finished some of their events.",
                                 "Nothing: it goes on by itself."});
}

std::vector<Condition> Subscription::conditions() const {
  return {source_condition(life_.paused, life_.stopping, reading_.errors(), troubles_.partitions),
          service_condition(pool_.start_failure()), store_condition(troubles_.commit)};
}

Subscription::Vital Subscription::vital() const {
  unsigned flags = 0;
  for (const bool flag :
       {life_.paused, life_.stopping, life_.killed, troubles_.commit.has_value(), !reading_.errors().empty(),
        troubles_.partitions.has_value(), pool_.start_failure().has_value()})
    flags = 2 * flags + (flag ? 1 : 0);
  return {flags, pool_.size(), pool_.ready()};
}

TriggerStatus Subscription::status() const {
  TriggerStatus status;
  status.live = true;
  status.trigger = spec_.trigger;
  status.conditions = conditions();
  status.ready =
      std::all_of(status.conditions.begin(), status.conditions.end(), [](const Condition& c) { return c.ok; });
  if (auto waiting = output_topics_.waiting(world_.output_trouble)) status.conditions.push_back(std::move(*waiting));
  for (const PartitionId id : engine_.partitions()) {
    const auto view = engine_.view(id);
    PartitionStatus partition;
    partition.partition = id;
    partition.cursor = view.cursor;
    partition.end = std::max(view.next_read, reading_.end(id));
    partition.lag = std::max<std::int64_t>(partition.end.value - view.cursor.value, 0);
    partition.waiting =
        view.waiting + std::max<std::int64_t>(partition.end.value - view.next_read.value, 0);  // and those not read
    partition.in_flight = view.in_flight;
    partition.retrying = view.retrying;
    if (view.window_full) partition.blocked_by = view.cursor;
    status.in_flight += view.in_flight;
    status.partitions.push_back(partition);
  }
  add_waits(status);
  status.instances = static_cast<std::int32_t>(pool_.size());
  status.instances_ready = static_cast<std::int32_t>(pool_.ready());
  status.instances_wanted = pool_.wanted();
  status.scaling_reason = pool_.reason();
  status.in_flight_bound = engine_.in_flight_bound();
  status.last_error = troubles_.last;
  status.last_error_at = troubles_.last_at;
  const auto& tally = engine_.tally();
  status.succeeded = tally.succeeded;
  status.filtered = tally.filtered;
  status.dead_lettered = tally.dead_lettered;
  status.expired = tally.expired;
  status.failed_attempts = tally.failed_attempts;
  return status;
}

std::optional<MessageState> Subscription::message_state(PartitionId partition, Offset offset) const {
  const auto w = engine_.backlog().index_of(partition);
  if (!w || !engine_.backlog().window(*w).holds(offset)) return std::nullopt;
  const delivery::Ref ref{*w, offset};
  const delivery::Entry& entry = engine_.backlog().entry(ref);
  const delivery::Failure* failure = engine_.backlog().failure(ref);
  MessageState state;
  if (failure != nullptr) {
    state.last_error = failure->last_error;
    state.attempt = failure->charged + 1;
  }
  switch (entry.state) {
    case delivery::EntryState::InFlight:
      state.state = "running";
      if (!state.attempt) state.attempt = 1;
      break;
    case delivery::EntryState::Done:
    case delivery::EntryState::Dying:
    case delivery::EntryState::Final:
      state.state = to_string(entry.final_state);
      break;
    case delivery::EntryState::Failing:
    case delivery::EntryState::Waiting:
      state.state = failure != nullptr ? "retrying" : "waiting";
      if (failure != nullptr) state.next_attempt_at = failure->retry_at_wall;
      break;
  }
  if (state.state != "waiting") return state;
  if (const auto head = engine_.backlog().first_of_key(ref); head && *head != ref) {
    state.state = "blocked";
    state.blocked_by = head->offset;
  }
  return state;
}

}  // namespace dhub::service
