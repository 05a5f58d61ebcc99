// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "delivery/batch_holds.h"
#include "delivery/byte_budget.h"
#include "delivery/lanes.h"
#include "delivery/settings.h"
#include "delivery/window.h"
#include "ports/journal.h"

namespace dhub::delivery {

// What a reader brought: records from `from` on, and how far that got.
struct ReadChunk {
  RecordBatchRef batch;
  Offset next_offset{};
  Offset log_start{};        // offsets below it are gone: retention took them. As of after the records were read; 0
                             // will do where `batch` has no hole
  Offset from{};             // of a second reading
  bool end_reached = false;  // the log had no more
};

// For how much work the backlog is to have events at hand.
struct Appetite {
  std::int64_t frame = 2;      // events of one frame
  std::int32_t instances = 1;  // that are wanted for now ...
  bool may_grow = true;        // ... and there may be more of them if there is more work
  bool operator==(const Appetite&) const = default;
};

// What has been read and is not finished, of all partitions: what is known of each offset, the order of the keys, and
// the bytes. Plain state with the moves that keep it consistent; the engine decides which.
//
// Memory belongs to what runs next. Reading goes on until every instance that is wanted has two frames before it, and
// no further: a key has a say in that with two frames at most, so that a long queue of one key stops nobody else's
// reading. What stands behind a head that waits for a retry or runs long is `parked`: it keeps its place, and its bytes
// only as far as an eighth of the budget goes. What lacks its bytes when its turn comes near gets them by a second
// reading of the partition, in one pass from the first that lacks them on, never one by one (LetGo in
// docs/specs/delivery.md: nothing overtakes it meanwhile).
class Backlog {
 public:
  Backlog(const EngineLimits& limits, Ordering ordering)
      : limits_(limits), ordering_(ordering), shared_(limits.shared_bytes) {}

  // One more partition, behind the others: what refers to a window does so by its place.
  void add(const LoadedPartition& partition, std::vector<StoredFailure> failures, const Now& now);

  [[nodiscard]] std::optional<std::uint32_t> index_of(PartitionId partition) const;
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(windows_.size()); }
  [[nodiscard]] Window& window(std::uint32_t w) { return windows_[w]; }
  [[nodiscard]] const Window& window(std::uint32_t w) const { return windows_[w]; }
  [[nodiscard]] Entry& entry(const Ref& ref) { return windows_[ref.window].at(ref.offset); }
  [[nodiscard]] const Entry& entry(const Ref& ref) const { return windows_[ref.window].at(ref.offset); }
  [[nodiscard]] Failure* failure(const Ref& ref) { return windows_[ref.window].failure(ref.offset); }
  [[nodiscard]] const Failure* failure(const Ref& ref) const { return windows_[ref.window].failure(ref.offset); }

  // ---- reading ----
  void set_appetite(const Appetite& appetite);
  // Where to read on in a partition; none while enough is at hand.
  [[nodiscard]] std::optional<Offset> wants_read(std::uint32_t w) const;
  [[nodiscard]] bool wants_more() const { return !is_full_of_bytes() && !has_enough(); }
  // Windows where something lacks its bytes and wants them; and whether they are to be read again now.
  [[nodiscard]] const std::set<std::uint32_t>& lacking() const { return lacking_; }
  [[nodiscard]] bool wants_again() const;
  // Where the second reading is to go on; none while nothing lacks its bytes.
  [[nodiscard]] std::optional<Offset> wants_again(std::uint32_t w) const;

  // What a read has brought about; its owner reuses it.
  struct Arrivals {
    struct Gone {
      Ref ref;
      FinalState state = FinalState::None;
    };
    std::vector<Ref> turns;             // it is their turn now, as far as their key is concerned
    std::vector<Gone> gone;             // there is no record any more, or there never was one: to be finished
    std::optional<Offset> end_too_low;  // the log ends before this one, which had been read from it
    void clear() {
      turns.clear();
      gone.clear();
      end_too_low.reset();
    }
  };
  void take(std::uint32_t w, const ReadChunk& chunk, Arrivals& arrivals);
  void take_again(std::uint32_t w, const ReadChunk& chunk, Arrivals& arrivals);

  // ---- order ----
  // RetryHoldsKey: only the first unfinished event of a key may start, and LetGo: only with its bytes.
  [[nodiscard]] bool may_start(const Ref& ref) const;
  [[nodiscard]] bool is_first(const Ref& ref) const;
  // The one that the others of its key wait for; none without a key.
  [[nodiscard]] std::optional<Ref> first_of_key(const Ref& ref) const;
  // Takes finished events off the front of the event's key. Answers whose turn it is now, if that is somebody new who
  // waits.
  std::optional<Ref> advance(const Ref& finished);
  // The event will take its time: what stands behind it in its key makes room.
  void park(const Ref& ref) {
    if (entry(ref).lane != Lanes::kNone) park_lane(entry(ref).lane);
  }

  // ---- what becomes of an event ----
  void begin(const Ref& ref);                     // goes to an instance
  void land(const Ref& ref);                      // is there no more
  void give_back(const Ref& ref);                 // had not begun
  Failure& fail(const Ref& ref);                  // the row to be filled in; then failed()
  void failed(const Ref& ref);                    // it keeps its own bytes, and what is behind it waits
  void bury(const Ref& ref);                      // its dead letter is made
  void finish(const Ref& ref, FinalState state);  // has its outcome, or will never have a record: the bytes go
  // Its final state is stored: the cursor may pass it.
  void store(const Ref& ref);

  // ---- what the next commit has to say of partitions ----
  // ReserveFirst: is it durable that this event may have been dispatched? If not, the next commit asks for it.
  [[nodiscard]] bool reserve(const Ref& ref);
  void touch(std::uint32_t w);
  [[nodiscard]] bool wants_reservation() const { return reservation_wanted_; }
  // Partitions that have changed since the last call, in order, as a commit that holds all entries with in_commit
  // leaves them; `reserve` lets it ask for what runs low.
  [[nodiscard]] std::vector<JournalCommit::PartitionState> take_changes(bool reserve);

  [[nodiscard]] std::int64_t unfinished() const { return unfinished_; }
  [[nodiscard]] std::int64_t failing() const { return failing_; }
  [[nodiscard]] std::uint64_t held_bytes() const { return holds_.bytes() + static_cast<std::uint64_t>(failure_bytes_); }
  [[nodiscard]] bool is_full_of_bytes() const { return held_bytes() >= most_bytes(); }
  // Full only because others hold so much.
  [[nodiscard]] bool waits_for_bytes() const {
    return is_full_of_bytes() && held_bytes() < limits_.window_bytes && !has_enough();
  }
  // Lets the others know how much is held here now.
  void share_bytes() { shared_.set(held_bytes()); }

 private:
  // Who wants bytes of a partition again, by the first offset, and where the second reading stands.
  struct Pass {
    std::set<std::pair<std::int64_t, Lanes::Index>> wanted;
    Offset next{-1};
  };

  // backlog.cc
  void admit(std::uint32_t w, const RecordView& record, const RecordBatchRef& batch, Arrivals& arrivals);
  void admit_gap(std::uint32_t w, Offset until, Offset log_start, Arrivals& arrivals);
  void admit_behind(const Ref& ref, const RecordView& record, const RecordBatchRef& batch);
  [[nodiscard]] Lanes::Index lane_of(std::uint32_t w, const RecordView& record);
  bool join(const Ref& ref);
  [[nodiscard]] bool has_enough() const;
  [[nodiscard]] std::uint64_t most_bytes() const { return shared_.room(limits_.window_bytes); }
  [[nodiscard]] std::optional<Offset> first_wanted(std::uint32_t w) const;
  [[nodiscard]] bool is_held_up(const Window& window) const;
  [[nodiscard]] std::optional<Offset> next_wanted(std::uint32_t w, Offset from) const;
  void pass_gone(Lanes::Index lane, const ReadChunk& chunk, Arrivals& arrivals);

  // backlog_bytes.cc
  void hold(Entry& entry, const RecordView& record, const RecordBatchRef& batch);
  void hold_alone(Entry& entry, const RecordView& record);
  void let_go(Entry& entry);
  bool park_bytes(Entry& entry, Lane& lane, const RecordView& record);
  void park_lane(Lanes::Index lane);
  void unpark(Lanes::Index lane);
  void weigh(const Lane& lane, int sign);
  void set_in_stock(Entry& entry, bool in_stock);
  void recount(const Ref& ref);
  void set_lacking(Lanes::Index lane, const Ref& lacking);
  void note_hunger(Lanes::Index lane);
  void set_hungry(Lanes::Index lane, bool is_hungry);
  [[nodiscard]] Ref next_lacking(const Ref& behind) const;

  const EngineLimits& limits_;
  const Ordering ordering_;
  std::vector<Window> windows_;
  std::vector<Pass> passes_;         // of each window
  std::set<std::uint32_t> lacking_;  // windows whose pass has somebody who wants it
  boost::unordered_flat_map<std::int32_t, std::uint32_t> by_partition_;
  Lanes lanes_;
  BatchHolds holds_;
  ByteShare shared_;
  Appetite appetite_;
  std::int64_t share_ = 4;          // of one key in what can begin: two frames
  std::int64_t stock_ = 0;          // events that could begin, keys that are parked left out ...
  std::int64_t startable_ = 0;      // ... and no more of each key than its share
  std::uint64_t parked_bytes_ = 0;  // copies that are kept behind heads that take their time
  std::int64_t failure_bytes_ = 0;  // errors and step results of what waits for a retry
  std::int64_t unfinished_ = 0;
  std::int64_t failing_ = 0;
  std::vector<std::uint32_t> touched_;
  bool reservation_wanted_ = false;
};

}  // namespace dhub::delivery
