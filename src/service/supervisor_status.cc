// SPDX-License-Identifier: Apache-2.0
// What the supervisor answers to those who ask.
#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "service/source_condition.h"
#include "service/status_etag.h"
#include "service/supervisor.h"

namespace dhub::service {
namespace {

constexpr Duration kChangePoll = milliseconds(50);

}  // namespace

TriggerStatus Supervisor::idle_status(const Trigger& trigger) const {
  TriggerStatus status;
  status.trigger = trigger;
  const auto topic = world_.event_log.topic(trigger.topic);
  const auto cursors = catalog_.cursors(trigger.pipeline, trigger.topic);
  if (!topic && cursors) {
    for (const auto& cursor : *cursors)
      status.partitions.push_back({.partition = cursor.partition, .cursor = cursor.offset, .end_known = false});
  }
  if (topic && cursors) {
    for (const auto& range : topic->partitions) {
      PartitionStatus partition;
      partition.partition = range.partition;
      partition.cursor = range.end;
      partition.end = range.end;
      for (const auto& cursor : *cursors)
        if (cursor.partition == range.partition) partition.cursor = cursor.offset;
      partition.lag = std::max<std::int64_t>(range.end.value - partition.cursor.value, 0);
      status.partitions.push_back(partition);
    }
  }
  status.scaling_reason = "No instances: the trigger is not running.";
  status.conditions.push_back(idle_condition(trigger));
  status.etag = status_etag(status);
  return status;
}

Condition Supervisor::idle_condition(const Trigger& trigger) const {
  const auto place = places_.find(trigger.pipeline);
  if (place != places_.end() && place->second.error && place->second.error_of_log)
    return source_failed(*place->second.error);
  if (place != places_.end() && place->second.error)
    return {"Source", false, "CannotLoad", place->second.error->message,
            "It is tried again by itself; look at the server's log, or start the trigger again."};
  if (trigger.desired != DesiredState::Stopped)
    return {"Source", false, "Starting", "The trigger does not run yet.", "Wait."};
  return {"Source", false, "Stopped", "The trigger is stopped.", "Start it."};
}

Result<TriggerStatus> Supervisor::status_now(const std::string& pipeline_id) const {
  ASSIGN_OR_RETURN(const PipelineUid uid, pipeline_uid(pipeline_id));
  const auto place = places_.find(uid);
  if (place != places_.end() && place->second.current) {
    TriggerStatus status = place->second.current->status();
    if (status.trigger.generation != place->second.wanted.generation) {
      status.trigger = place->second.wanted;
      status.etag = status_etag(status);
    }
    return status;
  }
  const auto trigger = catalog_.trigger(uid);
  if (trigger) return idle_status(*trigger);
  if (trigger.error().code != ErrorCode::NotFound) return fail(trigger.error());
  Trigger never;
  never.pipeline = uid;
  never.pipeline_id = pipeline_id;
  return idle_status(never);
}

void Supervisor::status(const std::string& pipeline_id, Done<TriggerStatus> done) {
  leash_.post([this, pipeline_id, done = std::move(done)] { done(status_now(pipeline_id)); });
}

void Supervisor::status_change(const std::string& pipeline_id, std::string seen, Duration wait,
                               Done<TriggerStatus> done) {
  leash_.post([this, pipeline_id, seen = std::move(seen), wait, done = std::move(done)] {
    waiters_.push_back({pipeline_id, seen, world_.scheduler.now().mono + wait, done});
    look_for_changes();
  });
}

// Every 50 ms while somebody waits: a status is a summary of many parts, none of which knows all of it.
void Supervisor::look_for_changes() {
  world_.scheduler.cancel(std::exchange(look_timer_, Scheduler::TimerId::None));
  const Instant now = world_.scheduler.now().mono;
  std::optional<Duration> wait;
  for (auto waiter = waiters_.begin(); waiter != waiters_.end();) {
    auto status = status_now(waiter->pipeline_id);
    if (status && status->etag == waiter->seen && now < waiter->until && !shutting_down_) {
      wait = std::min({wait.value_or(kChangePoll), kChangePoll, waiter->until - now});
      ++waiter;
      continue;
    }
    const auto done = std::move(waiter->done);
    waiter = waiters_.erase(waiter);
    done(std::move(status));
  }
  if (wait) look_timer_ = after(*wait, [this] { look_for_changes(); });
}

void Supervisor::list(Done<std::vector<TriggerStatus>> done) {
  leash_.post([this, done = std::move(done)] {
    const auto triggers = catalog_.triggers();
    if (!triggers) return done(fail(triggers.error()));
    std::vector<TriggerStatus> all;
    for (const auto& trigger : *triggers) {
      auto status = status_now(trigger.pipeline_id);
      if (status) all.push_back(std::move(*status));
    }
    done(std::move(all));
  });
}

void Supervisor::message_state(const std::string& pipeline_id, PartitionId partition, Offset offset,
                               Done<MessageState> done) {
  leash_.post([this, pipeline_id, partition, offset, done = std::move(done)] {
    done(message_state_now(pipeline_id, partition, offset));
  });
}

Result<MessageState> Supervisor::message_state_now(const std::string& pipeline_id, PartitionId partition,
                                                   Offset offset) const {
  ASSIGN_OR_RETURN(const PipelineUid uid, pipeline_uid(pipeline_id));
  ASSIGN_OR_RETURN(const Trigger trigger, catalog_.trigger(uid));
  const auto place = places_.find(uid);
  if (place != places_.end() && place->second.current)
    if (auto state = place->second.current->message_state(partition, offset)) return *state;
  return stored_state(trigger, partition, offset);
}

// Of an offset that no engine holds: the journal knows what became of it, else it waits to be read.
Result<MessageState> Supervisor::stored_state(const Trigger& trigger, PartitionId partition, Offset offset) const {
  ASSIGN_OR_RETURN(const OffsetState stored, world_.journal.state_of(trigger.position, partition, offset));
  MessageState state;
  state.state = to_string(stored.state);
  if (stored.failure) {
    state.state = "retrying";
    state.attempt = stored.failure->charged + 1;
    state.next_attempt_at = stored.failure->retry_at;
    state.last_error = stored.failure->last_error;
  }
  if (stored.state != FinalState::None || stored.failure) return state;
  ASSIGN_OR_RETURN(const Topic topic, world_.event_log.topic(trigger.topic));
  const bool exists =
      offset.value >= 0 && std::any_of(topic.partitions.begin(), topic.partitions.end(), [&](const auto& range) {
        return range.partition == partition && offset < range.end;
      });
  if (!exists)
    return fail(ErrorCode::NotFound, fmt::format("Topic '{}' has no message {}/{}.", topic.name, partition, offset));
  // Below the cursor without an outcome: the position began behind it.
  ASSIGN_OR_RETURN(const auto cursors, catalog_.cursors(trigger.pipeline, trigger.topic));
  for (const auto& cursor : cursors)
    if (cursor.partition == partition && offset < cursor.offset) state.state = to_string(FinalState::Skipped);
  return state;
}

}  // namespace dhub::service
