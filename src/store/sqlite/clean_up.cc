// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/clean_up.h"

#include <chrono>
#include <optional>
#include <vector>

#include "store/sqlite/idempotency.h"

namespace dhub::store {
namespace {

constexpr std::int64_t kBatchesPerSlice = 32;  // 8 MiB at most
constexpr std::int64_t kRowsPerSlice = 500;
constexpr std::size_t kPartitionsPerSlice = 200;
constexpr std::int64_t kFreePagesWorthReturning = 8192;  // 64 MiB

struct RetainedPartition {
  std::int64_t topic = 0;
  std::int32_t partition = 0;
  std::int64_t age_ns = 0;
  std::int64_t most_bytes = 0;
  std::int64_t bytes = 0;
};

Result<std::vector<RetainedPartition>> partitions_after(Connection& db, std::int64_t topic, std::int32_t partition) {
  std::vector<RetainedPartition> partitions;
  Query row = db.query(
      "SELECT p.topic_uid, p.partition, t.retention_age_ns, t.retention_bytes, p.bytes FROM partitions p "
      "JOIN topics t ON t.uid=p.topic_uid WHERE (p.topic_uid, p.partition)>(?,?) AND t.deleted_ms IS NULL "
      "ORDER BY p.topic_uid, p.partition LIMIT ?",
      topic, partition, kPartitionsPerSlice);
  while (row.next())
    partitions.push_back({row.integer(0), row.small(1), row.integer(2), row.integer(3), row.integer(4)});
  RETURN_IF_ERROR(row.status());
  return partitions;
}

struct Expired {
  std::vector<std::int64_t> ids;
  std::int64_t bytes = 0;
};

// The oldest batches that may go; whole ones, from the start of the log on.
Result<Expired> expired_batches(Connection& db, const RetainedPartition& partition, WallTime now) {
  const std::int64_t oldest_ms = now.ms - partition.age_ns / 1000000;
  Expired expired;
  Query row = db.query(
      "SELECT id, max_timestamp_ms, length(data) FROM batches WHERE topic_uid=? AND partition=? ORDER BY base_offset "
      "LIMIT ?",
      partition.topic, partition.partition, kBatchesPerSlice);
  while (row.next()) {
    const std::int64_t size = row.integer(2);
    const bool too_old = row.integer(1) < oldest_ms;
    // At least `most_bytes` stay, so that a batch larger than that is not gone at once.
    const bool too_many = partition.most_bytes > 0 && partition.bytes - expired.bytes - size >= partition.most_bytes;
    if (!too_old && !too_many) break;
    expired.ids.push_back(row.integer(0));
    expired.bytes += size;
  }
  RETURN_IF_ERROR(row.status());
  return expired;
}

Status drop_batches(Connection& db, const RetainedPartition& partition, const Expired& expired) {
  for (const std::int64_t id : expired.ids) RETURN_IF_ERROR(db.run("DELETE FROM batches WHERE id=?", id));
  return db.run(
      "UPDATE partitions SET bytes=bytes-?1, start_offset=coalesce((SELECT min(base_offset) FROM batches WHERE "
      "topic_uid=?2 AND partition=?3), next_offset) WHERE topic_uid=?2 AND partition=?3",
      expired.bytes, partition.topic, partition.partition);
}

Result<std::optional<std::int64_t>> first_uid(Query row) {
  if (row.next()) return row.integer(0);
  RETURN_IF_ERROR(row.status());
  return std::nullopt;
}

// Runs one delete of at most a slice; true when it was a full one.
template <typename... Args>
Result<bool> delete_slice(Connection& db, const char* sql, std::int64_t most, const Args&... args) {
  RETURN_IF_ERROR(db.run(sql, args..., most));
  return db.changes() == most;
}

Result<bool> purge_topic(Connection& db) {
  ASSIGN_OR_RETURN(const auto uid, first_uid(db.query("SELECT uid FROM topics WHERE deleted_ms IS NOT NULL LIMIT 1")));
  if (!uid) return false;
  ASSIGN_OR_RETURN(
      bool more, delete_slice(db, "DELETE FROM batches WHERE id IN (SELECT id FROM batches WHERE topic_uid=? LIMIT ?)",
                              kBatchesPerSlice, *uid));
  if (more) return true;
  ASSIGN_OR_RETURN(more, delete_slice(db,
                                      "DELETE FROM idempotency WHERE (topic_uid, key) IN "
                                      "(SELECT topic_uid, key FROM idempotency WHERE topic_uid=? LIMIT ?)",
                                      kRowsPerSlice, *uid));
  if (more) return true;
  RETURN_IF_ERROR(db.run("DELETE FROM partitions WHERE topic_uid=?", *uid));
  RETURN_IF_ERROR(db.run("DELETE FROM topics WHERE uid=?", *uid));
  return true;
}

Result<bool> purge_position(Connection& db) {
  ASSIGN_OR_RETURN(const auto uid,
                   first_uid(db.query("SELECT uid FROM positions WHERE deleted_ms IS NOT NULL LIMIT 1")));
  if (!uid) return false;
  ASSIGN_OR_RETURN(bool more, delete_slice(db,
                                           "DELETE FROM ledger WHERE (position_uid, partition, page) IN (SELECT "
                                           "position_uid, partition, page FROM ledger WHERE position_uid=? LIMIT ?)",
                                           kRowsPerSlice, *uid));
  if (more) return true;
  ASSIGN_OR_RETURN(
      more, delete_slice(db, "DELETE FROM failures WHERE id IN (SELECT id FROM failures WHERE position_uid=? LIMIT ?)",
                         kRowsPerSlice, *uid));
  if (more) return true;
  RETURN_IF_ERROR(db.run("DELETE FROM start_marks WHERE position_uid=?", *uid));
  RETURN_IF_ERROR(db.run("DELETE FROM position_partitions WHERE position_uid=?", *uid));
  RETURN_IF_ERROR(db.run("DELETE FROM positions WHERE uid=?", *uid));
  return true;
}

Result<bool> purge_pipeline(Connection& db) {
  ASSIGN_OR_RETURN(const auto uid,
                   first_uid(db.query("SELECT uid FROM pipelines WHERE deleted_ms IS NOT NULL LIMIT 1")));
  if (!uid) return false;
  ASSIGN_OR_RETURN(
      const bool more,
      delete_slice(db,
                   "DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters WHERE pipeline_uid=? LIMIT ?)",
                   kRowsPerSlice, *uid));
  if (more) return true;
  RETURN_IF_ERROR(db.run("DELETE FROM pipeline_versions WHERE pipeline_uid=?", *uid));
  RETURN_IF_ERROR(db.run("DELETE FROM pipelines WHERE uid=?", *uid));
  return true;
}

// Free pages are used again by what is published next; only a file that is mostly free is made smaller.
Result<bool> return_free_pages(Connection& db) {
  std::int64_t free_pages = 0;
  std::int64_t pages = 0;
  {
    Query free_row = db.query("PRAGMA freelist_count");
    if (free_row.next()) free_pages = free_row.integer(0);
    RETURN_IF_ERROR(free_row.status());
    Query all_row = db.query("PRAGMA page_count");
    if (all_row.next()) pages = all_row.integer(0);
    RETURN_IF_ERROR(all_row.status());
  }
  if (free_pages < kFreePagesWorthReturning || free_pages < pages / 2) return false;
  RETURN_IF_ERROR(db.execute("PRAGMA incremental_vacuum(512)"));
  return true;
}

}  // namespace

Result<bool> CleanUp::slice(WriteContext& context) {
  for (auto* part : {&purge_topic, &purge_position, &purge_pipeline}) {
    ASSIGN_OR_RETURN(const bool more, part(context.db));
    if (more) return true;
  }
  ASSIGN_OR_RETURN(bool more, retention(context));
  if (more) return true;
  ASSIGN_OR_RETURN(more, forget_old_keys(context.db, context.now.wall));
  if (more) return true;
  return return_free_pages(context.db);
}

Result<bool> CleanUp::retention(WriteContext& context) {
  ASSIGN_OR_RETURN(const auto partitions, partitions_after(context.db, last_topic_, last_partition_));
  for (const auto& partition : partitions) {
    ASSIGN_OR_RETURN(const Expired expired, expired_batches(context.db, partition, context.now.wall));
    if (!expired.ids.empty()) {
      // The same partition is looked at again in the next slice.
      RETURN_IF_ERROR(drop_batches(context.db, partition, expired));
      return true;
    }
    last_topic_ = partition.topic;
    last_partition_ = partition.partition;
  }
  if (partitions.size() == kPartitionsPerSlice) return true;
  last_topic_ = 0;
  last_partition_ = -1;
  return false;
}

}  // namespace dhub::store
