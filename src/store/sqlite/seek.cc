// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/seek.h"

#include <algorithm>

#include "base/check.h"
#include "store/sqlite/ledger.h"
#include "store/sqlite/position_rows.h"
#include "store/sqlite/topic_rows.h"

namespace dhub::store {
namespace {

// A failure row goes, unless it holds the only bytes that are left of an event that is still to run: then it stays as
// if the event had not been tried (Position.tla, `kept`).
Status reset_failures(Connection& db, PositionUid position, const StartOffset& target, Offset log_start) {
  RETURN_IF_ERROR(db.run("DELETE FROM failures WHERE position_uid=? AND partition=? AND (offset<? OR offset>=?)",
                         position, target.partition, target.offset, std::max(log_start, target.offset)));
  return db.run(
      "UPDATE failures SET charged=0, kills=0, retry_at_ms=0, step=0, results=x'' WHERE position_uid=? AND partition=?",
      position, target.partition);
}

Status seek_partition(Connection& db, PositionUid position, const StartOffset& target, Offset log_start) {
  ASSIGN_OR_RETURN(const auto row, partition_row(db, position, target.partition));
  CHECK(row.has_value());  // made in this transaction when it was not there
  LedgerEdit ledger(db, position);
  RETURN_IF_ERROR(ledger.finish_rest(target.partition, row->cursor.value, target.offset.value, FinalState::Skipped));
  RETURN_IF_ERROR(ledger.clear_from(target.partition, target.offset.value));
  RETURN_IF_ERROR(ledger.store());
  RETURN_IF_ERROR(reset_failures(db, position, target, log_start));
  RETURN_IF_ERROR(db.run("DELETE FROM start_marks WHERE position_uid=? AND partition=?", position, target.partition));
  // dispatched_through never moves back: runs of the old pass are suspects too when the server dies under them.
  return db.run(
      "UPDATE position_partitions SET cursor=?1, first_offset=min(first_offset, ?1), "
      "dispatched_through=max(dispatched_through, ?1) WHERE position_uid=?2 AND partition=?3",
      target.offset, position, target.partition);
}

}  // namespace

Status seek_position(Connection& db, PositionUid position, const Topic& topic,
                     const std::vector<StartOffset>& targets) {
  RETURN_IF_ERROR(db.run("UPDATE positions SET pass=pass+1 WHERE uid=?", position));
  for (const auto& target : targets) {
    const PartitionRange* range = find_range(topic, target.partition);
    CHECK(range != nullptr);  // checked with the offsets
    RETURN_IF_ERROR(seek_partition(db, position, target, range->start));
  }
  return {};
}

}  // namespace dhub::store
