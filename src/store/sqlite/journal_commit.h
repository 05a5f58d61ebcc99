// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ports/journal.h"
#include "store/sqlite/batch_format.h"
#include "store/sqlite/writer.h"

namespace dhub::store {

// A commit with its messages encoded by the caller's thread.
struct PreparedCommit {
  JournalCommit commit;
  std::vector<std::string> failures;                                  // record of each
  std::vector<std::string> dead_letters;                              // record of each
  std::vector<std::pair<std::string, EncodedMessages>> publications;  // by topic, in order
  std::size_t bytes = 0;
};
[[nodiscard]] Result<std::shared_ptr<const PreparedCommit>> prepare_commit(JournalCommit commit);

// Checks all of the commit, then writes all of it. Runs in a savepoint of its own; may run again after a rollback.
[[nodiscard]] Result<CommitAnswer> apply_commit(WriteContext& context, const PreparedCommit& prepared);

}  // namespace dhub::store
