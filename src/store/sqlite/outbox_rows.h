// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "ports/outbox.h"
#include "store/sqlite/sqlite.h"

// Rows of the outbox. Reads work on any connection, changes on the writer's, inside its transaction.
namespace dhub::store {

struct OutboxRow {
  std::string topic;   // with its cluster
  std::string record;  // the encoded message
};
// A message without a time gets `now`, as in a topic of the store.
Status insert_outbox_row(Connection& db, const OutboxRow& row, WallTime now);

struct OutboxRange {
  std::string topic;
  std::int64_t after = 0;
  std::size_t limit = 0;
  std::size_t bytes = 0;
};
[[nodiscard]] Result<std::vector<OutboxEntry>> outbox_entries(Connection& db, const OutboxRange& range);
// Removes all up to and including `number`; answers what that was.
Result<Outbox::Backlog> remove_outbox_rows(Connection& db, const std::string& topic, std::int64_t number);
// All that waits, by topic.
[[nodiscard]] Result<std::map<std::string, Outbox::Backlog>> outbox_backlogs(Connection& db);

}  // namespace dhub::store
