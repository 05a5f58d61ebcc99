// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/outbox_rows.h"

#include "store/sqlite/batch_format.h"

namespace dhub::store {

Status insert_outbox_row(Connection& db, const OutboxRow& row, WallTime now) {
  constexpr const char* kInsert = "INSERT INTO outbox (topic, record) VALUES (?,?)";
  if (record_timestamp(row.record) != 0) return db.run(kInsert, row.topic, Blob{row.record});
  std::string stamped = row.record;
  set_record_timestamp(stamped.data(), now);
  return db.run(kInsert, row.topic, Blob{stamped});
}

Result<std::vector<OutboxEntry>> outbox_entries(Connection& db, const OutboxRange& range) {
  std::vector<OutboxEntry> entries;
  Query row = db.query("SELECT number, record FROM outbox WHERE topic=? AND number>? ORDER BY number LIMIT ?",
                       range.topic, range.after, range.limit);
  std::size_t bytes = 0;
  while ((entries.empty() || bytes < range.bytes) && row.next()) {
    std::string_view stored = row.blob(1);
    bytes += stored.size();
    ASSIGN_OR_RETURN(const RecordView record, take_record(stored));
    ASSIGN_OR_RETURN(auto message, to_message(record));
    entries.push_back({row.integer(0), range.topic, std::move(message)});
  }
  RETURN_IF_ERROR(row.status());
  return entries;
}

Result<Outbox::Backlog> remove_outbox_rows(Connection& db, const std::string& topic, std::int64_t number) {
  Outbox::Backlog removed;
  {
    Query row =
        db.query("SELECT count(*), total(length(record)) FROM outbox WHERE topic=? AND number<=?", topic, number);
    if (row.next()) removed = {row.integer(0), row.integer(1)};
    RETURN_IF_ERROR(row.status());
  }
  RETURN_IF_ERROR(db.run("DELETE FROM outbox WHERE topic=? AND number<=?", topic, number));
  return removed;
}

Result<std::map<std::string, Outbox::Backlog>> outbox_backlogs(Connection& db) {
  std::map<std::string, Outbox::Backlog> backlogs;
  Query row = db.query("SELECT topic, count(*), total(length(record)) FROM outbox GROUP BY topic");
  while (row.next()) backlogs[std::string(row.text(0))] = {row.integer(1), row.integer(2)};
  RETURN_IF_ERROR(row.status());
  return backlogs;
}

}  // namespace dhub::store
