// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ports/journal.h"
#include "store/sqlite/batch_format.h"
#include "store/sqlite/outbox_rows.h"
#include "store/sqlite/writer.h"

namespace dhub::store {

// Which cluster a topic belongs to, by the name that a publication gives it; empty: it is embedded. Thread-safe.
using ClusterOf = std::function<std::string(const std::string& topic)>;

// A commit with its messages encoded by the caller's thread.
struct PreparedCommit {
  JournalCommitRef commit;
  std::vector<std::string> failures;                                  // record of each
  std::vector<std::string> dead_letters;                              // record of each
  std::vector<std::pair<std::string, EncodedMessages>> publications;  // by topic, in order
  std::vector<OutboxRow> outbox;                                      // to other clusters, in order
  std::size_t bytes = 0;
};
[[nodiscard]] Result<std::shared_ptr<const PreparedCommit>> prepare_commit(JournalCommitRef commit,
                                                                           const ClusterOf& cluster_of);

// Checks all of the commit, then writes all of it. Runs in a savepoint of its own; may run again after a rollback.
[[nodiscard]] Result<CommitAnswer> apply_commit(WriteContext& context, const PreparedCommit& prepared);

}  // namespace dhub::store
