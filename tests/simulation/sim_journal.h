// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ports/journal.h"
#include "tests/simulation/sim_disk.h"

namespace dhub::simulation {

// The journal on a simulated disk.
class SimJournal final : public Journal {
 public:
  explicit SimJournal(SimDisk& disk) : disk_(disk) {}

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
  Result<LoadedPosition> load_now(PositionUid position);
  Result<CommitAnswer> take(const JournalCommit& commit);
  Result<CommitAnswer> apply(const JournalCommit& commit);
  static Status check(const JournalCommit& commit, const SimPosition& position);
  void store(const JournalCommit& commit, SimPosition& position);
  void publish(const JournalCommit& commit);

  SimDisk& disk_;
};

}  // namespace dhub::simulation
