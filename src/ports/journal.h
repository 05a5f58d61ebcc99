// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/ids.h"
#include "model/message.h"
#include "model/run.h"
#include "model/topic.h"
#include "ports/answer.h"

namespace dhub {

// `count` offsets from `first` on that ended in `state`.
struct FinishedRange {
  PartitionId partition{};
  Offset first{};
  std::int64_t count = 0;
  FinalState state = FinalState::None;
  bool operator==(const FinishedRange&) const = default;
};

// A failed attempt of an event that is not finished. Charged attempts survive everything; `record` holds the event's
// bytes, so that retention cannot take them.
struct StoredFailure {
  PartitionId partition{};
  Offset offset{};
  std::int32_t charged = 0;
  WallTime retry_at{};
  std::uint16_t step = 0;  // where the next attempt resumes
  OutcomeKind kind = OutcomeKind::Failed;
  Version version{};    // that ran the failed attempt; stored results count only for it
  std::string results;  // opaque results of the finished steps
  std::string first_error;
  std::string last_error;
  Message message;
};

// One transaction of a position: outcomes, charges, dead letters, outputs, cursor.
struct JournalCommit {
  PositionUid position{};
  OwnerEpoch owner_epoch{};
  Pass pass{};
  CommitSeq seq{};

  struct PartitionState {
    PartitionId partition{};
    Offset cursor{};              // every offset below it is final
    Offset dispatched_through{};  // nothing at or past it was ever dispatched; reserved ahead
  };
  std::vector<PartitionState> partitions;  // those that changed
  std::vector<FinishedRange> finished;
  std::vector<StoredFailure> failures;    // replace the row of the same offset
  std::vector<DeadLetter> dead_letters;   // `number` and `created_at` are given by the store
  std::vector<Publication> publications;  // in order; embedded topics get them in this transaction
  WallTime at{};
};
// Shared: between the engine, which may send it again, and the journal, which may not have looked at it yet.
using JournalCommitRef = std::shared_ptr<const JournalCommit>;

enum class CommitAnswer {
  Applied,
  Already,  // this number was applied before (an answer was lost): as good as Applied
};
// Called once, on a thread of the journal, or within commit() when it is turned away; must be quick. Error codes:
// Fenced (a newer owner or pass: stop at once), StorageFull or Unavailable (not applied: send the same commit, with the
// same number and content, again).
using CommitDone = Answer<CommitAnswer>;

struct LoadedPartition {
  PartitionId partition{};
  Offset cursor{};
  Offset dispatched_through{};
  Offset suspect_border{};              // dispatched_through at the last unclean stop
  Offset older_suspect_border{};        // at the one before
  std::vector<FinishedRange> finished;  // at and past the cursor, rising
};

struct LoadedPosition {
  PositionUid position{};
  OwnerEpoch owner_epoch{};  // raised by this load
  Pass pass{};
  std::vector<LoadedPartition> partitions;
  std::vector<StoredFailure> failures;  // by partition and offset
};

// What is known of one offset.
struct OffsetState {
  FinalState state = FinalState::None;
  std::optional<StoredFailure> failure;  // when it waits for another attempt
};

struct OutcomeCounts {
  std::int64_t succeeded = 0, filtered = 0, dead_lettered = 0, expired = 0, skipped = 0, absent = 0;
};

// Where a position stands and what became of each offset. Thread-safe.
class Journal {
 public:
  virtual ~Journal() = default;

  // Raises owner_epoch, takes back the "clean" mark, moves the borders of suspicion after an unclean stop, and reads:
  // one transaction, durable when it answers. Never blocks; those that are handed in together share their sync.
  virtual void load(PositionUid position, Answer<LoadedPosition> done) = 0;

  // Partitions that the topic has got since, with the offset where each begins; those that are there stay as they are.
  // Durable when it answers; never blocks. Fenced like a commit.
  virtual void add_partitions(PositionUid position, OwnerEpoch epoch, std::vector<StartOffset> fresh,
                              Answer<void> done) = 0;

  // Applies the commit only when owner_epoch and pass are the current ones and seq is the last number + 1. Never
  // blocks. Whatever is handed in for one position applies, and is answered, in that order.
  virtual void commit(JournalCommitRef commit, CommitDone done) = 0;

  // After a drain: nothing is in flight. A later load finds a clean stop. Fenced like a commit. Never blocks.
  virtual void release(PositionUid position, OwnerEpoch epoch, Answer<void> done) = 0;

  virtual Result<OffsetState> state_of(PositionUid position, PartitionId partition, Offset offset) const = 0;
  virtual Result<OutcomeCounts> counts(PositionUid position) const = 0;
  // Dead letters of all positions of a pipeline, newest first, those below `before` (0 = from the newest).
  virtual Result<std::vector<DeadLetter>> dead_letters(PipelineUid pipeline, std::int64_t before,
                                                       std::size_t limit) const = 0;
  virtual Result<DeadLetter> dead_letter(PipelineUid pipeline, std::int64_t number) const = 0;
};

}  // namespace dhub
