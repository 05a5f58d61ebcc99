// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/journal.h"

#include <memory>

#include "store/sqlite/dead_letter_rows.h"
#include "store/sqlite/ledger.h"
#include "store/sqlite/position_rows.h"

namespace dhub::store {
namespace {

// Partitions that the topic has got since the position last looked.
Status add_new_partitions(Connection& db, const PositionHead& head) {
  return db.run(
      "INSERT INTO position_partitions (position_uid, partition, first_offset, cursor, dispatched_through) "
      "SELECT ?1, partition, 0, 0, 0 FROM partitions WHERE topic_uid=?2 AND partition NOT IN "
      "(SELECT partition FROM position_partitions WHERE position_uid=?1)",
      head.uid, head.topic);
}

// The start of Suspects.tla: the clean mark goes, and after an unclean stop the borders move up.
Status take_ownership(Connection& db, const PositionHead& head) {
  if (!head.clean)
    RETURN_IF_ERROR(
        db.run("UPDATE position_partitions SET older_suspect_border=suspect_border, "
               "suspect_border=dispatched_through WHERE position_uid=?",
               head.uid));
  return db.run("UPDATE positions SET owner_epoch=owner_epoch+1, last_seq=0, clean=0 WHERE uid=?", head.uid);
}

Result<LoadedPosition> load_position(Connection& db, PositionUid uid) {
  ASSIGN_OR_RETURN(const PositionHead before, find_position(db, uid));
  RETURN_IF_ERROR(take_ownership(db, before));
  RETURN_IF_ERROR(add_new_partitions(db, before));
  ASSIGN_OR_RETURN(const PositionHead head, find_position(db, uid));
  LoadedPosition loaded;
  loaded.position = uid;
  loaded.owner_epoch = head.owner_epoch;
  loaded.pass = head.pass;
  ASSIGN_OR_RETURN(const auto rows, partition_rows(db, uid));
  for (const auto& row : rows) {
    ASSIGN_OR_RETURN(auto finished, finished_from(db, uid, row.partition, row.cursor));
    loaded.partitions.push_back({row.partition, row.cursor, row.dispatched_through, row.suspect_border,
                                 row.older_suspect_border, std::move(finished)});
  }
  ASSIGN_OR_RETURN(loaded.failures, failures_of(db, uid));
  return loaded;
}

Status check_owner(Connection& db, PositionUid position, OwnerEpoch epoch) {
  const auto head = find_position(db, position);
  if (!head && head.error().code != ErrorCode::NotFound) return fail(head.error());
  if (!head || head->owner_epoch != epoch)
    return fail(ErrorCode::Fenced, "A newer owner has taken over this position.");
  return {};
}

}  // namespace

void PositionJournal::load(PositionUid position, Answer<LoadedPosition> done) {
  writer_.ask<LoadedPosition>(
      WriteKind::Journal, [position](WriteContext& context) { return load_position(context.db, position); },
      std::move(done));
}

void PositionJournal::commit(JournalCommitRef commit, CommitDone done) {
  auto prepared = prepare_commit(std::move(commit), cluster_of_);
  auto answer = std::make_shared<CommitAnswer>(CommitAnswer::Applied);  // shared: std::function copies
  WriteRequest request;
  request.kind = WriteKind::Journal;
  request.bytes = prepared ? (*prepared)->bytes : 0;
  request.apply = [prepared, answer](WriteContext& context) -> Status {
    if (!prepared) return fail(prepared.error());
    ASSIGN_OR_RETURN(*answer, apply_commit(context, **prepared));
    return {};
  };
  request.answer = [this, prepared, answer, done = std::move(done)](const Status& status) {
    if (!status) return done(fail(status.error()));
    if (*answer == CommitAnswer::Applied) outbox_->added((*prepared)->outbox);
    done(*answer);
  };
  writer_.submit(std::move(request));
}

void PositionJournal::add_partitions(PositionUid position, OwnerEpoch epoch, std::vector<StartOffset> fresh,
                                     Answer<void> done) {
  WriteRequest request;
  request.kind = WriteKind::Journal;
  request.apply = [position, epoch, fresh = std::move(fresh)](WriteContext& context) -> Status {
    RETURN_IF_ERROR(check_owner(context.db, position, epoch));
    for (const auto& start : fresh) {
      ASSIGN_OR_RETURN(const auto there, partition_row(context.db, position, start.partition));
      if (!there) RETURN_IF_ERROR(insert_partition(context.db, position, start.partition, start.offset));
    }
    return {};
  };
  request.answer = std::move(done);
  writer_.submit(std::move(request));
}

void PositionJournal::release(PositionUid position, OwnerEpoch epoch, Answer<void> done) {
  WriteRequest request;
  request.kind = WriteKind::Journal;
  request.apply = [position, epoch](WriteContext& context) -> Status {
    RETURN_IF_ERROR(check_owner(context.db, position, epoch));
    return context.db.run("UPDATE positions SET clean=1 WHERE uid=?", position);
  };
  request.answer = std::move(done);
  writer_.submit(std::move(request));
}

Result<OffsetState> PositionJournal::state_of(PositionUid position, PartitionId partition, Offset offset) const {
  return with_reader(readers_, [&](Connection& db) -> Result<OffsetState> {
    RETURN_IF_ERROR(find_position(db, position));
    OffsetState state;
    ASSIGN_OR_RETURN(state.state, ledger_state(db, position, partition, offset));
    ASSIGN_OR_RETURN(state.failure, failure_at(db, position, partition, offset));
    return state;
  });
}

Result<OutcomeCounts> PositionJournal::counts(PositionUid position) const {
  return with_reader(readers_, [&](Connection& db) -> Result<OutcomeCounts> {
    RETURN_IF_ERROR(find_position(db, position));
    Query row = db.query(
        "SELECT succeeded, filtered, dead_lettered, expired, skipped, absent FROM positions WHERE uid=?", position);
    OutcomeCounts counts;
    if (row.next())
      counts = {row.integer(0), row.integer(1), row.integer(2), row.integer(3), row.integer(4), row.integer(5)};
    RETURN_IF_ERROR(row.status());
    return counts;
  });
}

Result<std::vector<DeadLetter>> PositionJournal::dead_letters(PipelineUid pipeline, std::int64_t before,
                                                              std::size_t limit) const {
  return with_reader(readers_, [&](Connection& db) { return list_dead_letters(db, pipeline, before, limit); });
}

Result<DeadLetter> PositionJournal::dead_letter(PipelineUid pipeline, std::int64_t number) const {
  return with_reader(readers_, [&](Connection& db) { return find_dead_letter(db, pipeline, number); });
}

}  // namespace dhub::store
