// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/ring.h"
#include "base/time.h"
#include "delivery/batch_holds.h"
#include "delivery/lanes.h"
#include "model/ids.h"
#include "model/message.h"
#include "model/run.h"
#include "ports/journal.h"

namespace dhub::delivery {

enum class EntryState : std::uint8_t {
  Waiting,   // not at an instance: ready, blocked behind its key, or waiting for a retry
  InFlight,  // at an instance
  Done,      // its final outcome is received, not stored; its key goes on
  Failing,   // its failed attempt is received, not stored; holds its key
  Dying,     // its dead letter is made, not stored; holds its key
  Final,     // stored
};

// One offset of the window. There may be a million of them, so it is packed.
struct Entry {
  const RecordView* record = nullptr;       // null when the payload is not held
  Offset next_offset{-1};                   // of the one behind it in its lane, with ...
  std::uint32_t next_window = 0;            // ... its window
  Lanes::Index lane = Lanes::kNone;         // none: its order is free
  BatchHolds::Id hold = BatchHolds::kNone;  // keeps `record` alive
  EntryState state = EntryState::Final;
  FinalState final_state = FinalState::None;
  bool in_commit : 1 = false;  // part of the commit that is under way
  bool in_stock : 1 = false;   // has not begun, and its bytes are at hand
  bool is_alone : 1 = false;   // its bytes are a copy of its own

  [[nodiscard]] Ref next() const { return {next_window, next_offset}; }
};
static_assert(sizeof(Entry) == 32);

// What is known of an event that has failed and is not finished.
struct Failure {
  std::int32_t charged = 0;
  Instant retry_at{};
  WallTime retry_at_wall{};
  std::uint16_t step = 0;
  OutcomeKind kind = OutcomeKind::Failed;
  Version version{};
  std::string results;
  std::string first_error;
  std::string last_error;
  std::int64_t counted_bytes = 0;  // what recount() last knew of its size
};

// The offsets of one partition from the first one that is not finished on: what the engine knows of each.
// Plain state with the moves that keep it consistent; decides nothing.
class Window {
 public:
  Window(const LoadedPartition& loaded, std::vector<StoredFailure> failures, const Now& now);

  [[nodiscard]] PartitionId id() const { return id_; }
  // First offset that is not final and stored: what the journal knows as the cursor, or will when answered.
  [[nodiscard]] Offset base() const { return Offset{base_}; }
  [[nodiscard]] Offset next_read() const { return Offset{base_ + static_cast<std::int64_t>(entries_.size())}; }
  [[nodiscard]] bool holds(Offset offset) const { return offset >= base() && offset < next_read(); }
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(entries_.size()); }
  [[nodiscard]] Entry& at(Offset offset) { return entries_[static_cast<std::size_t>(offset.value - base_)]; }
  [[nodiscard]] const Entry& at(Offset offset) const {
    return entries_[static_cast<std::size_t>(offset.value - base_)];
  }
  [[nodiscard]] Failure* failure(Offset offset);
  [[nodiscard]] const Failure* failure(Offset offset) const;
  Failure& make_failure(Offset offset);

  // Adds the next offset. Loaded knowledge (already finished, failed before) is applied: the answer tells whether the
  // entry is Final already.
  Entry& append(Entry entry);
  // What the load knew of the offset that append will add next: its stored message when it had failed before.
  [[nodiscard]] const Message* kept_message(Offset offset) const;

  // By how many bytes the offset's failure has grown since the last call.
  [[nodiscard]] std::int64_t recount(Offset offset);
  // Stored; the payload is let go already. Answers how many bytes its failure took up. Then drop_final() moves the
  // base.
  std::int64_t finish(Offset offset);
  void drop_final();
  // The cursor as a commit that holds all entries with in_commit would leave it.
  [[nodiscard]] Offset cursor_with_commit();

  std::int64_t unfinished = 0;  // no final outcome received, or a dead letter that is not stored
  std::int64_t in_flight = 0;
  std::int64_t failing = 0;             // offsets of the window that have failed and are not finished
  std::int64_t retries_in_flight = 0;   // those of them that are at an instance
  std::int64_t dispatched_through = 0;  // durable reservation
  std::int64_t reserve_asked = 0;       // in the commit under way or durable
  std::int64_t frontier = 0;  // past the highest offset that was dispatched, or would be but for the reservation
  bool touched = false;       // the next commit has something to say of it

  [[nodiscard]] bool runs_low(std::int64_t reserve_step) const { return frontier + reserve_step / 2 > reserve_asked; }

 private:
  [[nodiscard]] FinalState loaded_state(std::int64_t offset);
  void forget(std::int64_t offset);

  PartitionId id_;
  std::int64_t base_ = 0;
  Ring<Entry> entries_;
  std::unordered_map<std::int64_t, Failure> failures_;  // also of offsets not read yet, after a load
  std::map<std::int64_t, Message> kept_messages_;       // of loaded failures, until their offset is read
  std::vector<FinishedRange> loaded_finished_;          // rising; consumed from loaded_at_ on
  std::size_t loaded_at_ = 0;
  std::int64_t commit_scan_ = 0;  // cursor_with_commit() has come this far
};

}  // namespace dhub::delivery
