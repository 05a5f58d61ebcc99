// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/trigger_rows.h"

#include <algorithm>
#include <fmt/format.h>

#include "model/topic.h"
#include "store/sqlite/pipeline_rows.h"
#include "store/sqlite/position_rows.h"
#include "store/sqlite/seek.h"
#include "store/sqlite/topic_registry.h"
#include "store/sqlite/topic_rows.h"

namespace dhub::store {
namespace {

#define DHUB_TRIGGER_SELECT                                                                                      \
  "SELECT t.pipeline_uid, p.id, t.generation, t.version, t.topic_uid, t.topic_name, t.position_uid, t.desired, " \
  "t.started_ms, t.revision FROM triggers t JOIN pipelines p ON p.uid=t.pipeline_uid WHERE p.deleted_ms IS NULL "

Trigger trigger_of(const Query& row) {
  Trigger trigger;
  trigger.pipeline = PipelineUid{row.integer(0)};
  trigger.pipeline_id = std::string(row.text(1));
  trigger.generation = Generation{row.integer(2)};
  trigger.version = Version{row.small(3)};
  trigger.topic = TopicUid{row.integer(4)};
  trigger.topic_name = std::string(row.text(5));
  trigger.position = PositionUid{row.integer(6)};
  trigger.desired = static_cast<DesiredState>(row.integer(7));
  trigger.started_at = WallTime{row.integer(8)};
  trigger.revision = Revision{row.integer(9)};
  return trigger;
}

Status check_offsets(const Topic& topic, const std::vector<StartOffset>& offsets) {
  for (const auto& [partition, offset] : offsets) {
    const PartitionRange* range = find_range(topic, partition);
    if (range == nullptr)
      return fail(ErrorCode::InvalidArgument, fmt::format("Topic '{}' has no partition {}; it has 0 to {}.", topic.name,
                                                          partition, topic.settings.partitions - 1));
    if (offset.value < 0 || offset > range->end)
      return fail(ErrorCode::InvalidArgument,
                  fmt::format("Partition {} of topic '{}' cannot start at {}: choose an offset from 0 to {}.",
                              partition, topic.name, offset, range->end));
  }
  return {};
}

// What the trigger listens on: of a topic elsewhere its own log knows the partitions, of the store's own the store.
Result<Topic> topic_of(Connection& db, const StartTrigger& request) {
  if (!request.elsewhere) return find_topic(db, request.topic);
  RETURN_IF_ERROR(find_foreign_topic(db, request.topic));
  if (request.elsewhere->uid != request.topic)
    return fail(ErrorCode::Internal, "A start names one topic and describes another.");
  return *request.elsewhere;
}

Offset initial_offset(const PartitionRange& range, const std::vector<StartOffset>& initial) {
  const auto given = std::find_if(initial.begin(), initial.end(),
                                  [&](const StartOffset& start) { return start.partition == range.partition; });
  return given == initial.end() ? range.start : given->offset;
}

// The position of the pipeline on the topic, with a cursor in every partition, and whether it was there before.
Result<std::pair<PositionUid, bool>> ensure_position(Connection& db, const StartTrigger& request, const Topic& topic,
                                                     WallTime now) {
  ASSIGN_OR_RETURN(const auto existing, find_position(db, request.pipeline, topic.uid));
  PositionUid uid{};
  if (existing) {
    uid = existing->uid;
  } else {
    ASSIGN_OR_RETURN(uid, insert_position(db, request.pipeline, topic.uid, now));
  }
  for (const auto& range : topic.partitions) {
    ASSIGN_OR_RETURN(const auto row, partition_row(db, uid, range.partition));
    if (!row) RETURN_IF_ERROR(insert_partition(db, uid, range.partition, initial_offset(range, request.initial)));
  }
  return std::pair{uid, existing.has_value()};
}

}  // namespace

Result<Trigger> find_trigger(Connection& db, PipelineUid pipeline) {
  Query row = db.query(DHUB_TRIGGER_SELECT "AND t.pipeline_uid=?", pipeline);
  if (row.next()) return trigger_of(row);
  RETURN_IF_ERROR(row.status());
  return fail(ErrorCode::NotFound, "This pipeline was never started.");
}

Result<std::vector<Trigger>> list_triggers(Connection& db) {
  std::vector<Trigger> triggers;
  Query row = db.query(DHUB_TRIGGER_SELECT "ORDER BY p.id");
  while (row.next()) triggers.push_back(trigger_of(row));
  RETURN_IF_ERROR(row.status());
  return triggers;
}

Result<StartedTrigger> start_trigger_rows(Connection& db, const StartTrigger& request, WallTime now) {
  RETURN_IF_ERROR(find_pipeline(db, request.pipeline, request.version));
  ASSIGN_OR_RETURN(const Topic topic, topic_of(db, request));
  RETURN_IF_ERROR(check_offsets(topic, request.initial));
  RETURN_IF_ERROR(check_offsets(topic, request.seek_to));
  ASSIGN_OR_RETURN(const auto ensured, ensure_position(db, request, topic, now));
  const auto [position, existed] = ensured;
  if (!request.seek_to.empty() && existed) RETURN_IF_ERROR(seek_position(db, position, topic, request.seek_to));
  RETURN_IF_ERROR(
      db.run("INSERT INTO triggers (pipeline_uid, generation, version, topic_uid, topic_name, position_uid, desired, "
             "started_ms) VALUES (?,1,?,?,?,?,?,?) ON CONFLICT (pipeline_uid) DO UPDATE SET generation=generation+1, "
             "revision=revision+1, "
             "version=excluded.version, topic_uid=excluded.topic_uid, topic_name=excluded.topic_name, "
             "position_uid=excluded.position_uid, desired=excluded.desired, started_ms=excluded.started_ms",
             request.pipeline, request.version, topic.uid, topic.name, position, DesiredState::Running, now.ms));
  StartedTrigger started;
  ASSIGN_OR_RETURN(started.trigger, find_trigger(db, request.pipeline));
  ASSIGN_OR_RETURN(started.cursors, cursors_of(db, position));
  started.resumed = existed;
  return started;
}

Result<Trigger> set_trigger_desired(Connection& db, PipelineUid pipeline, DesiredState desired) {
  ASSIGN_OR_RETURN(const Trigger trigger, find_trigger(db, pipeline));
  if (trigger.desired == DesiredState::Stopped && desired != DesiredState::Stopped)
    return fail(ErrorCode::Conflict,
                fmt::format("The trigger of pipeline '{}' is stopped; start it first.", trigger.pipeline_id));
  RETURN_IF_ERROR(db.run("UPDATE triggers SET desired=?, revision=revision+1 WHERE pipeline_uid=?", desired, pipeline));
  return find_trigger(db, pipeline);
}

}  // namespace dhub::store
