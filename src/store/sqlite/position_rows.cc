// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/position_rows.h"

#include <fmt/format.h>

namespace dhub::store {
namespace {

#define DHUB_POSITION_COLUMNS "uid, pipeline_uid, topic_uid, owner_epoch, pass, last_seq, clean"
#define DHUB_PARTITION_COLUMNS "partition, cursor, dispatched_through, suspect_border, older_suspect_border"
#define DHUB_FAILURE_COLUMNS \
  "partition, offset, charged, retry_at_ms, step, kind, version, results, first_error, last_error, record"

PositionHead head_of(const Query& row) {
  return {PositionUid{row.integer(0)}, PipelineUid{row.integer(1)}, TopicUid{row.integer(2)},
          OwnerEpoch{row.integer(3)},  Pass{row.small(4)},          CommitSeq{row.integer(5)},
          row.integer(6) != 0};
}

PartitionRow partition_of_row(const Query& row) {
  return {PartitionId{row.small(0)}, Offset{row.integer(1)}, Offset{row.integer(2)}, Offset{row.integer(3)},
          Offset{row.integer(4)}};
}

Result<StoredFailure> failure_of(const Query& row) {
  StoredFailure failure;
  failure.partition = PartitionId{row.small(0)};
  failure.offset = Offset{row.integer(1)};
  failure.charged = row.small(2);
  failure.retry_at = WallTime{row.integer(3)};
  failure.step = static_cast<std::uint16_t>(row.integer(4));
  failure.kind = static_cast<OutcomeKind>(row.integer(5));
  failure.version = Version{row.small(6)};
  failure.results = std::string(row.blob(7));
  failure.first_error = std::string(row.text(8));
  failure.last_error = std::string(row.text(9));
  std::string_view bytes = row.blob(10);
  ASSIGN_OR_RETURN(const RecordView record, take_record(bytes));
  ASSIGN_OR_RETURN(failure.message, to_message(record));
  return failure;
}

}  // namespace

Result<PositionHead> find_position(Connection& db, PositionUid uid) {
  Query row = db.query("SELECT " DHUB_POSITION_COLUMNS " FROM positions WHERE uid=? AND deleted_ms IS NULL", uid);
  if (row.next()) return head_of(row);
  RETURN_IF_ERROR(row.status());
  return fail(ErrorCode::NotFound, fmt::format("There is no position with uid {}.", uid));
}

Result<std::optional<PositionHead>> find_position(Connection& db, PipelineUid pipeline, TopicUid topic) {
  Query row = db.query("SELECT " DHUB_POSITION_COLUMNS
                       " FROM positions WHERE pipeline_uid=? AND topic_uid=? AND deleted_ms IS NULL",
                       pipeline, topic);
  if (row.next()) return head_of(row);
  RETURN_IF_ERROR(row.status());
  return std::nullopt;
}

Result<PositionUid> insert_position(Connection& db, PipelineUid pipeline, TopicUid topic, WallTime now) {
  RETURN_IF_ERROR(
      db.run("INSERT INTO positions (pipeline_uid, topic_uid, created_ms) VALUES (?,?,?)", pipeline, topic, now.ms));
  return PositionUid{db.last_rowid()};
}

Result<std::vector<PartitionRow>> partition_rows(Connection& db, PositionUid position) {
  std::vector<PartitionRow> rows;
  Query row = db.query(
      "SELECT " DHUB_PARTITION_COLUMNS " FROM position_partitions WHERE position_uid=? ORDER BY partition", position);
  while (row.next()) rows.push_back(partition_of_row(row));
  RETURN_IF_ERROR(row.status());
  return rows;
}

Result<std::optional<PartitionRow>> partition_row(Connection& db, PositionUid position, PartitionId partition) {
  Query row =
      db.query("SELECT " DHUB_PARTITION_COLUMNS " FROM position_partitions WHERE position_uid=? AND partition=?",
               position, partition);
  if (row.next()) return partition_of_row(row);
  RETURN_IF_ERROR(row.status());
  return std::nullopt;
}

Status insert_partition(Connection& db, PositionUid position, PartitionId partition, Offset cursor) {
  return db.run(
      "INSERT INTO position_partitions (position_uid, partition, first_offset, cursor, dispatched_through) "
      "VALUES (?1,?2,?3,?3,?3)",
      position, partition, cursor);
}

Result<std::vector<StartOffset>> cursors_of(Connection& db, PositionUid position) {
  ASSIGN_OR_RETURN(const auto rows, partition_rows(db, position));
  std::vector<StartOffset> cursors;
  for (const auto& row : rows) cursors.push_back({row.partition, row.cursor});
  return cursors;
}

Result<std::vector<StoredFailure>> failures_of(Connection& db, PositionUid position) {
  std::vector<StoredFailure> failures;
  Query row = db.query("SELECT " DHUB_FAILURE_COLUMNS " FROM failures WHERE position_uid=? ORDER BY partition, offset",
                       position);
  while (row.next()) {
    ASSIGN_OR_RETURN(auto failure, failure_of(row));
    failures.push_back(std::move(failure));
  }
  RETURN_IF_ERROR(row.status());
  return failures;
}

Result<std::optional<StoredFailure>> failure_at(Connection& db, PositionUid position, PartitionId partition,
                                                Offset offset) {
  Query row =
      db.query("SELECT " DHUB_FAILURE_COLUMNS " FROM failures WHERE position_uid=? AND partition=? AND offset=?",
               position, partition, offset);
  if (row.next()) return failure_of(row);
  RETURN_IF_ERROR(row.status());
  return std::nullopt;
}

Result<bool> has_failures(Connection& db, PositionUid position) {
  Query row = db.query("SELECT 1 FROM failures WHERE position_uid=? LIMIT 1", position);
  const bool any = row.next();
  RETURN_IF_ERROR(row.status());
  return any;
}

Status put_failure(Connection& db, PositionUid position, const StoredFailure& failure, std::string_view record) {
  return db.run("INSERT INTO failures (position_uid, " DHUB_FAILURE_COLUMNS
                ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (position_uid, partition, offset) DO UPDATE SET "
                "charged=excluded.charged, retry_at_ms=excluded.retry_at_ms, step=excluded.step, kind=excluded.kind, "
                "version=excluded.version, results=excluded.results, first_error=excluded.first_error, "
                "last_error=excluded.last_error, record=excluded.record",
                position, failure.partition, failure.offset, failure.charged, failure.retry_at.ms, failure.step,
                failure.kind, failure.version, Blob{failure.results}, failure.first_error, failure.last_error,
                Blob{record});
}

Status remove_failures(Connection& db, PositionUid position, const FinishedRange& range) {
  return db.run("DELETE FROM failures WHERE position_uid=? AND partition=? AND offset>=? AND offset<?", position,
                range.partition, range.first, range.first.value + range.count);
}

}  // namespace dhub::store
