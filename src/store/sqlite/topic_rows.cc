// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/topic_rows.h"

#include <fmt/format.h>

#include "model/trigger.h"

namespace dhub::store {
namespace {

#define DHUB_TOPIC_COLUMNS "uid, name, partitions, retention_age_ns, retention_bytes, created_ms"

Topic topic_of(const Query& row) {
  Topic topic;
  topic.uid = TopicUid{row.integer(0)};
  topic.name = row.text(1);
  topic.settings.partitions = row.small(2);
  topic.settings.retention_age = Duration{row.integer(3)};
  topic.settings.retention_bytes = static_cast<std::uint64_t>(row.integer(4));
  topic.created_at = WallTime{row.integer(5)};
  return topic;
}

Status load_partitions(Connection& db, Topic& topic) {
  Query row = db.query(
      "SELECT partition, start_offset, next_offset, bytes FROM partitions WHERE topic_uid=? ORDER BY partition",
      topic.uid);
  while (row.next())
    topic.partitions.push_back({PartitionId{row.small(0)}, Offset{row.integer(1)}, Offset{row.integer(2)},
                                static_cast<std::uint64_t>(row.integer(3))});
  return row.status();
}

// The one topic that `row` gives.
Result<Topic> only_topic(Connection& db, Query row, const std::string& what) {
  if (!row.next()) {
    RETURN_IF_ERROR(row.status());
    return fail(ErrorCode::NotFound, fmt::format("There is no topic {}.", what));
  }
  Topic topic = topic_of(row);
  RETURN_IF_ERROR(load_partitions(db, topic));
  return topic;
}

}  // namespace

Result<Topic> find_topic(Connection& db, const std::string& name) {
  return only_topic(db,
                    db.query("SELECT " DHUB_TOPIC_COLUMNS
                             " FROM topics WHERE namespace=0 AND name=? AND deleted_ms IS NULL AND cluster=''",
                             name),
                    "'" + name + "'");
}

Result<Topic> find_topic(Connection& db, TopicUid uid) {
  return only_topic(
      db, db.query("SELECT " DHUB_TOPIC_COLUMNS " FROM topics WHERE uid=? AND deleted_ms IS NULL AND cluster=''", uid),
      fmt::format("with uid {}", uid));
}

Result<std::vector<Topic>> list_topics(Connection& db, const std::string& after, std::size_t limit) {
  std::vector<Topic> topics;
  {
    Query row = db.query(
        "SELECT " DHUB_TOPIC_COLUMNS
        " FROM topics WHERE namespace=0 AND name>? AND deleted_ms IS NULL AND cluster='' ORDER BY name LIMIT ?",
        after, limit);
    while (row.next()) topics.push_back(topic_of(row));
    RETURN_IF_ERROR(row.status());
  }
  for (auto& topic : topics) RETURN_IF_ERROR(load_partitions(db, topic));
  return topics;
}

Result<Topic> insert_topic(Connection& db, const std::string& name, const TopicSettings& settings, WallTime now) {
  RETURN_IF_ERROR(validate_topic_name(name));
  RETURN_IF_ERROR(validate(settings));
  if (const auto there = find_topic(db, name); there)
    return fail(ErrorCode::AlreadyExists, fmt::format("There is a topic '{}' already.", name));
  else if (there.error().code != ErrorCode::NotFound)
    return fail(there.error());
  RETURN_IF_ERROR(
      db.run("INSERT INTO topics (name, partitions, retention_age_ns, retention_bytes, created_ms) VALUES (?,?,?,?,?)",
             name, settings.partitions, settings.retention_age.count(), settings.retention_bytes, now.ms));
  const TopicUid uid{db.last_rowid()};
  for (std::int32_t partition = 0; partition < settings.partitions; ++partition)
    RETURN_IF_ERROR(db.run("INSERT INTO partitions (topic_uid, partition) VALUES (?,?)", uid, partition));
  return find_topic(db, uid);
}

Result<Topic> update_topic(Connection& db, const std::string& name, const TopicSettings& settings) {
  RETURN_IF_ERROR(validate(settings));
  ASSIGN_OR_RETURN(const Topic topic, find_topic(db, name));
  if (topic.settings.partitions != settings.partitions)
    return fail(ErrorCode::Conflict,
                fmt::format("Topic '{}' has {} partitions for good: their number orders the keys. Make a new topic.",
                            name, topic.settings.partitions));
  RETURN_IF_ERROR(db.run("UPDATE topics SET retention_age_ns=?, retention_bytes=? WHERE uid=?",
                         settings.retention_age.count(), settings.retention_bytes, topic.uid));
  return find_topic(db, topic.uid);
}

Status mark_topic_deleted(Connection& db, const std::string& name, WallTime now) {
  ASSIGN_OR_RETURN(const Topic topic, find_topic(db, name));
  Query bound = db.query(
      "SELECT p.id FROM triggers t JOIN pipelines p ON p.uid=t.pipeline_uid WHERE t.topic_uid=? AND t.desired<>? "
      "ORDER BY p.id LIMIT 1",
      topic.uid, DesiredState::Stopped);
  if (bound.next())
    return fail(ErrorCode::Conflict,
                fmt::format("The trigger of pipeline '{}' listens on topic '{}'; stop it first.", bound.text(0), name));
  RETURN_IF_ERROR(bound.status());
  return db.run("UPDATE topics SET deleted_ms=? WHERE uid=?", now.ms, topic.uid);
}

}  // namespace dhub::store
