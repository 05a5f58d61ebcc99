// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "ports/catalog.h"
#include "ports/journal.h"
#include "store/sqlite/sqlite.h"

// Rows of positions and their partitions. Reads work on any connection, changes on the writer's.
namespace dhub::store {

struct PositionHead {
  PositionUid uid{};
  PipelineUid pipeline{};
  TopicUid topic{};
  OwnerEpoch owner_epoch{};
  Pass pass{};
  CommitSeq last_seq{};
  bool clean = false;
};
// NotFound when it never was or its pipeline is deleted.
[[nodiscard]] Result<PositionHead> find_position(Connection& db, PositionUid uid);
// None when the pipeline never listened on the topic.
[[nodiscard]] Result<std::optional<PositionHead>> find_position(Connection& db, PipelineUid pipeline, TopicUid topic);
Result<PositionUid> insert_position(Connection& db, PipelineUid pipeline, TopicUid topic, WallTime now);

struct PartitionRow {
  PartitionId partition{};
  Offset cursor{};
  Offset dispatched_through{};
  Offset suspect_border{};
  Offset older_suspect_border{};
};
[[nodiscard]] Result<std::vector<PartitionRow>> partition_rows(Connection& db, PositionUid position);
[[nodiscard]] Result<std::optional<PartitionRow>> partition_row(Connection& db, PositionUid position,
                                                                PartitionId partition);
Status insert_partition(Connection& db, PositionUid position, PartitionId partition, Offset cursor);
[[nodiscard]] Result<std::vector<StartOffset>> cursors_of(Connection& db, PositionUid position);

// Failed attempts of unfinished events. Columns in the order of the table.
[[nodiscard]] Result<std::vector<StoredFailure>> failures_of(Connection& db, PositionUid position);
[[nodiscard]] Result<std::optional<StoredFailure>> failure_at(Connection& db, PositionUid position,
                                                              PartitionId partition, Offset offset);
[[nodiscard]] Result<bool> has_failures(Connection& db, PositionUid position);
// `record` is the encoded message. Keeps `kills` of a row that is there.
Status put_failure(Connection& db, PositionUid position, const StoredFailure& failure, std::string_view record);
Status remove_failures(Connection& db, PositionUid position, const FinishedRange& range);

}  // namespace dhub::store
