// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ports/journal.h"
#include "store/sqlite/readers.h"
#include "store/sqlite/writer.h"

namespace dhub::store {

// Positions in the embedded store. Whatever changes runs on the writer's thread, before publishes that wait with it.
class PositionJournal : public Journal {
 public:
  PositionJournal(Writer& writer, Readers& readers) : writer_(writer), readers_(readers) {}

  Result<LoadedPosition> load(PositionUid position) override;
  void commit(JournalCommit commit, CommitDone done) override;
  Status add_partitions(PositionUid position, OwnerEpoch epoch, const std::vector<StartOffset>& fresh) override;
  Status mark_clean(PositionUid position, OwnerEpoch epoch) override;
  Result<OffsetState> state_of(PositionUid position, PartitionId partition, Offset offset) const override;
  Result<OutcomeCounts> counts(PositionUid position) const override;
  Result<std::vector<DeadLetter>> dead_letters(PipelineUid pipeline, std::int64_t before,
                                               std::size_t limit) const override;
  Result<DeadLetter> dead_letter(PipelineUid pipeline, std::int64_t number) const override;

 private:
  Writer& writer_;
  Readers& readers_;
};

}  // namespace dhub::store
