// SPDX-License-Identifier: Apache-2.0
// What triggers say of themselves: posted by the loop, read by those who ask on their own threads.
#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "service/source_condition.h"
#include "service/status_etag.h"
#include "service/supervisor.h"

namespace dhub::service {
namespace {

constexpr Duration kShowEvery = milliseconds(100);

Condition not_running(const Trigger& trigger) {
  if (trigger.desired != DesiredState::Stopped)
    return {"Source", false, "Starting", "The trigger does not run yet.", "Wait."};
  return {"Source", false, "Stopped", "The trigger is stopped.", "Start it."};
}

PartitionStatus at_rest(const PartitionRange& range, const std::vector<StartOffset>& cursors) {
  PartitionStatus partition;
  partition.partition = range.partition;
  partition.cursor = range.end;
  partition.end = range.end;
  for (const auto& cursor : cursors)
    if (cursor.partition == range.partition) partition.cursor = cursor.offset;
  partition.lag = std::max<std::int64_t>(range.end.value - partition.cursor.value, 0);
  return partition;
}

}  // namespace

// ---- the loop's side ----

// Something of what runs has changed. What people act on is shown in the same turn, the rest at most ten times a
// second; the last change is never left out.
void Supervisor::changed(PipelineUid pipeline) {
  Place& place = places_.at(pipeline);
  if (!place.current) return;
  if (place.current->vital() != place.shown_vital) return show(pipeline);
  if (place.show_timer != Scheduler::TimerId::None) return;
  const Instant next = place.shown_at + kShowEvery;
  if (world_.scheduler.now().mono >= next) return show(pipeline);
  place.show_timer = leash_.at(next, [this, pipeline] {
    const auto found = places_.find(pipeline);
    if (found == places_.end()) return;
    found->second.show_timer = Scheduler::TimerId::None;
    show(pipeline);
  });
}

void Supervisor::outputs_changed() {
  for (const auto& [pipeline, place] : places_)
    if (place.current) show(pipeline);
}

void Supervisor::show(PipelineUid pipeline) {
  const auto found = places_.find(pipeline);
  if (found == places_.end()) return board_.remove(pipeline);
  Place& place = found->second;
  world_.scheduler.cancel(std::exchange(place.show_timer, Scheduler::TimerId::None));
  place.shown_at = world_.scheduler.now().mono;
  TriggerStatus status;
  if (place.current) {
    place.shown_vital = place.current->vital();
    status = place.current->status();
    if (status.trigger.generation != place.wanted.generation) status.trigger = place.wanted;
  } else {
    status.trigger = place.wanted;
    status.conditions.push_back(idle_condition(place));
  }
  status.etag = status_etag(status);
  board_.post(pipeline, std::move(status));
}

Condition Supervisor::idle_condition(const Place& place) {
  if (place.error && place.error_of_log) return source_failed(*place.error);
  if (place.error)
    return {"Source", false, "CannotLoad", place.error->message,
            "It is tried again by itself; look at the server's log, or start the trigger again."};
  return not_running(place.wanted);
}

// ---- on the threads of those who ask ----

Result<TriggerStatus> Supervisor::status(const std::string& pipeline_id) const {
  ASSIGN_OR_RETURN(const PipelineUid uid, pipeline_uid(pipeline_id));
  return status_by(board_.find(uid), uid, pipeline_id);
}

Result<TriggerStatus> Supervisor::status_by(const StatusBoard::Posted& posted, PipelineUid uid,
                                            const std::string& pipeline_id) const {
  if (posted && posted->live) return with_ends(*posted);
  TriggerStatus status;
  if (posted) {
    status = *posted;
  } else {
    auto trigger = catalog_.trigger(uid);
    if (!trigger && trigger.error().code != ErrorCode::NotFound) return fail(std::move(trigger.error()));
    status.trigger.pipeline = uid;
    status.trigger.pipeline_id = pipeline_id;
    if (trigger) status.trigger = std::move(*trigger);
    status.conditions.push_back(not_running(status.trigger));
  }
  look_up_partitions(status);
  return status;
}

// Whoever has just published finds it in the backlog, though the loop may not have shown it yet.
TriggerStatus Supervisor::with_ends(TriggerStatus status) const {
  const auto topic = world_.event_log.topic(status.trigger.topic);
  if (!topic) return status;
  for (auto& partition : status.partitions) {
    const PartitionRange* range = find_range(*topic, partition.partition);
    if (range == nullptr || range->end <= partition.end) continue;
    partition.waiting += range->end.value - partition.end.value;
    partition.lag += range->end.value - std::max(partition.end, partition.cursor).value;
    partition.end = range->end;
  }
  return status;
}

// Of a trigger that does not run: where it stands by the journal, and what its topic says.
void Supervisor::look_up_partitions(TriggerStatus& status) const {
  const Trigger& trigger = status.trigger;
  const auto topic = world_.event_log.topic(trigger.topic);
  const auto cursors = catalog_.cursors(trigger.pipeline, trigger.topic);
  if (!topic && cursors) {
    for (const auto& cursor : *cursors)
      status.partitions.push_back({.partition = cursor.partition, .cursor = cursor.offset, .end_known = false});
  }
  if (topic && cursors) {
    for (const auto& range : topic->partitions) status.partitions.push_back(at_rest(range, *cursors));
  }
  status.scaling_reason = "No instances: the trigger is not running.";
  status.etag = status_etag(status);
}

Result<std::unique_ptr<Triggers::Wait>> Supervisor::wait(const std::string& pipeline_id, const std::string& seen,
                                                         std::function<void()> told) {
  ASSIGN_OR_RETURN(const PipelineUid uid, pipeline_uid(pipeline_id));
  const auto posted = board_.find(uid);
  ASSIGN_OR_RETURN(const TriggerStatus now, status_by(posted, uid, pipeline_id));
  if (now.etag == seen) return board_.wait(uid, posted, std::move(told));
  told();
  return std::unique_ptr<Wait>();
}

Result<std::vector<TriggerStatus>> Supervisor::list() const {
  ASSIGN_OR_RETURN(const auto triggers, catalog_.triggers());
  std::vector<TriggerStatus> all;
  for (const auto& trigger : triggers) {
    auto status = status_by(board_.find(trigger.pipeline), trigger.pipeline, trigger.pipeline_id);
    if (status) all.push_back(std::move(*status));
  }
  return all;
}

// What the store says is looked up first, so that the loop need not: it knows better of what its engines hold.
void Supervisor::message_state(const std::string& pipeline_id, PartitionId partition, Offset offset,
                               Done<MessageState> done) {
  const auto trigger = [&]() -> Result<Trigger> {
    ASSIGN_OR_RETURN(const PipelineUid uid, pipeline_uid(pipeline_id));
    return catalog_.trigger(uid);
  }();
  if (!trigger) return done(fail(trigger.error()));
  auto stored = stored_state(*trigger, partition, offset);
  leash_.post([this, uid = trigger->pipeline, partition, offset, stored = std::move(stored), done = std::move(done)] {
    const auto place = places_.find(uid);
    if (place != places_.end() && place->second.current)
      if (auto state = place->second.current->message_state(partition, offset)) return done(std::move(*state));
    done(stored);
  });
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
