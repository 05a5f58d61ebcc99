// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/result.h"
#include "ports/event_log.h"
#include "store/sqlite/sqlite.h"

namespace dhub::store {

struct ReadRange {
  TopicUid topic{};
  PartitionId partition{};
  Offset from{};
  std::size_t max_bytes = 0;
};

// EventLog::read inside a read transaction. What stands before a damaged batch is answered; a read that begins in it
// answers Corruption.
[[nodiscard]] Result<ReadResult> read_records(Connection& db, const ReadRange& range);

}  // namespace dhub::store
