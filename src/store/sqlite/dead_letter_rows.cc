// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/dead_letter_rows.h"

#include <fmt/format.h>
#include <limits>

namespace dhub::store {
namespace {

#define DHUB_LETTER_COLUMNS                                                                                      \
  "number, position_uid, pass, partition, offset, topic, record, attempts, reason, version, step, first_error, " \
  "last_error, trace, created_ms"

Result<DeadLetter> letter_of(const Query& row) {
  DeadLetter letter;
  letter.number = row.integer(0);
  letter.position = PositionUid{row.integer(1)};
  letter.run = {Pass{row.small(2)}, PartitionId{row.small(3)}, Offset{row.integer(4)}};
  letter.topic = std::string(row.text(5));
  std::string_view bytes = row.blob(6);
  ASSIGN_OR_RETURN(const RecordView record, take_record(bytes));
  ASSIGN_OR_RETURN(letter.message, to_message(record));
  letter.attempts = row.small(7);
  letter.reason = static_cast<OutcomeKind>(row.integer(8));
  letter.version = Version{row.small(9)};
  letter.step = std::string(row.text(10));
  letter.first_error = std::string(row.text(11));
  letter.last_error = std::string(row.text(12));
  letter.trace = std::string(row.text(13));
  letter.created_at = WallTime{row.integer(14)};
  return letter;
}

}  // namespace

Status insert_dead_letter(Connection& db, PipelineUid pipeline, const DeadLetter& letter, std::string_view record,
                          WallTime now) {
  RETURN_IF_ERROR(db.run("UPDATE pipelines SET last_dead_letter=last_dead_letter+1 WHERE uid=?", pipeline));
  return db.run("INSERT INTO dead_letters (pipeline_uid, " DHUB_LETTER_COLUMNS
                ") VALUES (?1,(SELECT last_dead_letter FROM pipelines WHERE uid=?1),?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                pipeline, letter.position, letter.run.pass, letter.run.partition, letter.run.offset, letter.topic,
                Blob{record}, letter.attempts, letter.reason, letter.version, letter.step, letter.first_error,
                letter.last_error, letter.trace, now.ms);
}

Result<std::vector<DeadLetter>> list_dead_letters(Connection& db, PipelineUid pipeline, std::int64_t before,
                                                  std::size_t limit) {
  std::vector<DeadLetter> letters;
  Query row = db.query("SELECT " DHUB_LETTER_COLUMNS
                       " FROM dead_letters WHERE pipeline_uid=? AND number<? ORDER BY number DESC LIMIT ?",
                       pipeline, before > 0 ? before : std::numeric_limits<std::int64_t>::max(), limit);
  while (row.next()) {
    ASSIGN_OR_RETURN(auto letter, letter_of(row));
    letters.push_back(std::move(letter));
  }
  RETURN_IF_ERROR(row.status());
  return letters;
}

Result<DeadLetter> find_dead_letter(Connection& db, PipelineUid pipeline, std::int64_t number) {
  Query row =
      db.query("SELECT " DHUB_LETTER_COLUMNS " FROM dead_letters WHERE pipeline_uid=? AND number=?", pipeline, number);
  if (row.next()) return letter_of(row);
  RETURN_IF_ERROR(row.status());
  return fail(ErrorCode::NotFound, fmt::format("There is no dead letter {}.", number));
}

}  // namespace dhub::store
