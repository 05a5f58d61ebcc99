// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "ports/journal.h"
#include "store/sqlite/journal_commit.h"
#include "store/sqlite/outbox_tracker.h"
#include "store/sqlite/readers.h"
#include "store/sqlite/writer.h"

namespace dhub::store {

// Positions in the embedded store. Whatever changes runs on the writer's thread, before publishes that wait with it.
class PositionJournal : public Journal {
 public:
  PositionJournal(Writer& writer, Readers& readers, std::shared_ptr<OutboxTracker> outbox, ClusterOf cluster_of)
      : writer_(writer), readers_(readers), outbox_(std::move(outbox)), cluster_of_(std::move(cluster_of)) {}

  void load(PositionUid position, Answer<LoadedPosition> done) override;
  void commit(JournalCommitRef commit, CommitDone done) override;
  void add_partitions(PositionUid position, OwnerEpoch epoch, std::vector<StartOffset> fresh,
                      Answer<void> done) override;
  void release(PositionUid position, OwnerEpoch epoch, Answer<void> done) override;
  Result<OffsetState> state_of(PositionUid position, PartitionId partition, Offset offset) const override;
  Result<OutcomeCounts> counts(PositionUid position) const override;
  Result<std::vector<DeadLetter>> dead_letters(PipelineUid pipeline, std::int64_t before,
                                               std::size_t limit) const override;
  Result<DeadLetter> dead_letter(PipelineUid pipeline, std::int64_t number) const override;

 private:
  Writer& writer_;
  Readers& readers_;
  std::shared_ptr<OutboxTracker> outbox_;  // shared with watches, which may outlive us
  const ClusterOf cluster_of_;
};

}  // namespace dhub::store
