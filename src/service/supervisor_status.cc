// SPDX-License-Identifier: Apache-2.0
// What the supervisor answers to those who ask.
#include <algorithm>
#include <fmt/format.h>
#include <utility>

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
  Condition source{"Source", false, "Stopped", "The trigger is stopped.", "Start it."};
  const auto place = places_.find(trigger.pipeline);
  if (place != places_.end() && place->second.error)
    source = {"Source", false, "CannotLoad", place->second.error->message,
              "It is tried again by itself; look at the server's log."};
  status.conditions.push_back(std::move(source));
  status.etag = status_etag(status);
  return status;
}

Result<TriggerStatus> Supervisor::status_now(const std::string& pipeline_id) const {
  ASSIGN_OR_RETURN(const PipelineUid uid, pipeline_uid(pipeline_id));
  const auto place = places_.find(uid);
  if (place != places_.end() && place->second.current) {
    TriggerStatus status = place->second.current->status();
    if (place->second.next) status.trigger = place->second.next->trigger;
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
  world_.scheduler.post([this, pipeline_id, done = std::move(done)] { done(status_now(pipeline_id)); });
}

void Supervisor::status_change(const std::string& pipeline_id, std::string seen, Duration wait,
                               Done<TriggerStatus> done) {
  world_.scheduler.post([this, pipeline_id, seen = std::move(seen), wait, done = std::move(done)] {
    poll_change(pipeline_id, seen, world_.scheduler.now().mono + wait, done);
  });
}

// Looks every 50 ms while somebody waits: a status is a summary of many parts, none of which knows all of it.
void Supervisor::poll_change(const std::string& pipeline_id, std::string seen, Instant until,
                             Done<TriggerStatus> done) {
  auto status = status_now(pipeline_id);
  const Instant now = world_.scheduler.now().mono;
  if (!status || status->etag != seen || now >= until || shutting_down_) return done(std::move(status));
  world_.scheduler.at(std::min(until, now + kChangePoll),
                      [this, pipeline_id, seen = std::move(seen), until, done = std::move(done)] {
                        poll_change(pipeline_id, seen, until, done);
                      });
}

void Supervisor::list(Done<std::vector<TriggerStatus>> done) {
  world_.scheduler.post([this, done = std::move(done)] {
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
  world_.scheduler.post([this, pipeline_id, partition, offset, done = std::move(done)] {
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
  for (const auto& range : topic.partitions)
    if (range.partition == partition && offset.value >= 0 && offset < range.end) return state;
  return fail(ErrorCode::NotFound, fmt::format("Topic '{}' has no message {}/{}.", topic.name, partition, offset));
}

}  // namespace dhub::service
