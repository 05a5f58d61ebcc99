// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <optional>
#include <queue>
#include <vector>

#include "base/random.h"
#include "base/ring.h"
#include "base/time.h"
#include "delivery/batch_holds.h"
#include "delivery/headers.h"
#include "delivery/outputs.h"
#include "delivery/settings.h"
#include "delivery/window.h"
#include "ports/journal.h"

namespace dhub::delivery {

// What a reader brought: records from where the engine wanted to read on, and how far that got.
struct ReadChunk {
  RecordBatchRef batch;
  Offset next_offset{};
  Offset log_start{};  // offsets below it are gone: retention took them. Asked for after the records were read; 0
                       // will do where `batch` has no hole
};

// How much there is to do, for the autoscaler.
struct Demand {
  std::int64_t runnable = 0;  // could begin now, given an instance
  std::int64_t blocked = 0;   // read, but behind their key
  std::int64_t in_flight = 0;
  std::int64_t retrying = 0;             // wait for their next attempt
  std::optional<Duration> service_time;  // of one event; none until measured
};

struct PartitionView {
  PartitionId partition{};
  Offset cursor{};
  Offset next_read{};
  std::int64_t waiting = 0;
  std::int64_t in_flight = 0;
  std::int64_t retrying = 0;
  bool window_full = false;
};

struct Tally {
  std::int64_t succeeded = 0, filtered = 0, dead_lettered = 0, expired = 0, absent = 0, failed_attempts = 0;
};

// The delivery protocol of one position: which event may go to which instance, what its outcome means, and what the
// journal is told. Pure: no clock, no socket, no thread; every input brings the time, every effect is an output. The
// rules are told in docs/specs/delivery.md under the names used in the comments here.
//
// Life: made from what Journal::load answered; ends by being dropped (what is in flight then runs again under the next
// owner). One thread. Work per event is constant but for the ordering of one commit.
class Engine {
 public:
  Engine(EngineSettings settings, LoadedPosition loaded, const Now& now);

  // Inputs. Each settles what it brings and then pumps: due retries, dispatch, commit.
  void records(PartitionId partition, const ReadChunk& chunk, const Now& now, Outputs& out);
  void fetched(PartitionId partition, Offset wanted, const ReadChunk& chunk, const Now& now, Outputs& out);
  void instance_ready(InstanceId instance, Version version, const Now& now, Outputs& out);
  // Gone, with every delivery answered, or its host lost: what is unanswered runs again, uncharged.
  void instance_ended(InstanceId instance, const Now& now, Outputs& out);
  void outcomes(InstanceId instance, std::vector<Outcome> outcomes, const Now& now, Outputs& out);
  void commit_answered(CommitSeq seq, const Result<CommitAnswer>& answer, const Now& now, Outputs& out);
  // After the switch is durable. Attempts in flight finish on their version; unbegun ones are recalled.
  void switch_version(VersionSettings settings, const Now& now, Outputs& out);
  // Paused: nothing is dispatched; what is in flight finishes and is stored.
  void set_paused(bool paused, const Now& now, Outputs& out);
  void tick(const Now& now, Outputs& out);
  // The topic has got one more, and the journal knows it. What comes of it, the next input brings.
  void add_partition(const LoadedPartition& partition, const Now& now);

  // Where to read on in a partition; none while its window is full.
  [[nodiscard]] std::optional<Offset> wants_read(PartitionId partition) const;
  // When to tick at the latest, if nothing else happens.
  [[nodiscard]] std::optional<Instant> wake_at() const;
  [[nodiscard]] Demand demand() const;
  [[nodiscard]] std::vector<PartitionId> partitions() const;
  [[nodiscard]] PartitionView view(PartitionId partition) const;
  // Events that a crash at the worst moment would run again: begun or finished, not stored.
  [[nodiscard]] std::int64_t in_flight_bound() const;
  // Nothing at an instance and nothing to store.
  [[nodiscard]] bool drained() const;
  // How many deliveries are at this instance; none when the engine does not know it.
  [[nodiscard]] std::optional<std::size_t> outstanding(InstanceId instance) const;
  [[nodiscard]] const Tally& tally() const { return tally_; }
  [[nodiscard]] const Window* window(PartitionId partition) const;

 private:
  struct Ref {
    std::uint32_t window = 0;
    Offset offset{};
  };
  struct Retry {
    Instant at{};
    Ref ref;
    bool operator>(const Retry& other) const { return at > other.at; }
  };
  struct Slot {
    InstanceId id{};
    Version version{};
    std::size_t outstanding = 0;
    bool dead = false;  // an outcome has told of its death; its end follows
  };
  struct Flight {
    Ref ref;
    InstanceId instance{};
    Version version{};
    Instant since{};
  };
  struct Mark {
    Ref ref;
    FinalState state = FinalState::None;
  };
  // What details and dead letters of a version that is no longer current still need.
  struct StepNames {
    Version version{};
    std::vector<std::string> names;
  };
  // What one commit settles when it is stored.
  struct Bundle {
    JournalCommit commit;
    std::vector<Mark> marks;
    std::vector<Ref> failing;
    [[nodiscard]] bool empty() const { return marks.empty() && failing.empty(); }
  };

  // engine.cc: reading, instances, queries
  Window& window_of(PartitionId partition);
  std::uint32_t index_of(PartitionId partition) const;
  Entry& entry(const Ref& ref) { return windows_[ref.window].at(ref.offset); }
  void admit(std::uint32_t window, const RecordView* record, const RecordBatchRef& batch, const Now& now);
  void admit_gap(std::uint32_t window, Offset until, Offset log_start, const Now& now);
  void admit_kept(std::uint32_t window, const Message& message, const Now& now);
  [[nodiscard]] LaneId lane_of(std::uint32_t window, const RecordView& record) const;
  void hold(Entry& entry, const RecordView* record, const RecordBatchRef& batch);
  void hold_alone(const Ref& ref);
  void let_go(Entry& entry);
  [[nodiscard]] std::uint64_t held_bytes() const;
  void let_go_of_lane_behind(const Ref& ref);
  Slot* slot(InstanceId instance);
  void give_back(const Now& now);

  // engine_dispatch.cc
  void pump(const Now& now, Outputs& out);
  void make_ready(const Ref& ref, const Now& now, bool front);
  void release_due_retries(const Now& now);
  [[nodiscard]] bool may_start(const Ref& ref) const;
  [[nodiscard]] bool has_room() const;
  [[nodiscard]] bool retries_are_held_up() const;
  void finish_without_instances(const Now& now);
  void dispatch(const Now& now, Outputs& out);
  void fill_idle_then_busy(const Now& now, Outputs& out, bool idle);
  void fill(Slot& slot, std::size_t most, const Now& now, Outputs& out);
  bool take_ready(Ref& ref);
  void put(const Ref& ref, std::uint16_t chain, Slot& slot, const Now& now, Dispatch& dispatch);
  void ride_along(const Ref& head, Slot& slot, std::size_t most, std::size_t& bytes, const Now& now,
                  Dispatch& dispatch);
  bool reserve(const Ref& ref);
  [[nodiscard]] std::size_t frame_target() const;
  [[nodiscard]] std::uint16_t next_chain();

  // engine_outcomes.cc
  void settle(const Flight& flight, Outcome outcome, const Now& now, Outputs& out);
  void succeed(const Flight& flight, Outcome& outcome, const Now& now);
  void fail_attempt(const Flight& flight, Outcome& outcome, const Now& now);
  void bury(const Ref& ref, Version version, Outcome& outcome, std::int32_t attempts, const Now& now);
  void finish_entry(const Ref& ref, FinalState state, const Now& now);
  void copy_to_topic(const Ref& ref, const DeadLetter& letter, std::uint16_t hops);
  [[nodiscard]] std::optional<std::string> refuse_publications(const Outcome& outcome, std::uint16_t hops) const;
  void take_publications(const Ref& ref, Outcome& outcome);
  [[nodiscard]] bool affords_details(OutcomeKind kind, const Now& now);
  void tell(const Flight& flight, const Outcome& outcome, const Now& now, Outputs& out);
  [[nodiscard]] std::int32_t charged(const Ref& ref) const;
  [[nodiscard]] std::string step_name(Version version, std::uint16_t step) const;
  [[nodiscard]] RunId run_id(const Ref& ref) const;

  // engine_commit.cc
  void emit_commit(const Now& now, Outputs& out);
  [[nodiscard]] bool wants_reservation() const;
  void fill_commit(Bundle& bundle, const Now& now);
  void settle_stored(const Now& now);

  EngineSettings settings_;
  PositionUid position_;
  OwnerEpoch epoch_;
  Pass pass_;
  std::vector<Window> windows_;
  std::vector<Slot> slots_;
  std::vector<StepNames> older_versions_;  // that have instances
  boost::unordered_flat_map<std::uint64_t, Flight> in_flight_;
  Ring<Ref> ready_;  // first attempts
  Ring<Ref> ready_retries_;
  std::priority_queue<Retry, std::vector<Retry>, std::greater<>> retries_;
  std::vector<Fetch> fetches_wanted_;
  std::vector<Ref> given_back_;  // scratch of one input
  Bundle pending_;               // gathers while a commit is under way
  std::optional<Bundle> under_way_;
  std::optional<Instant> resend_at_;
  Duration resend_delay_{};
  CommitSeq last_seq_{};
  std::uint64_t deliveries_ = 0;
  std::uint16_t chain_ = 0;
  BatchHolds holds_;
  std::int64_t failure_bytes_ = 0;  // errors and step results of what waits for a retry
  bool first_attempts_ = true;      // may start in this pump
  std::int64_t unstored_ = 0;       // outcomes received, not stored
  Duration service_time_{};
  bool paused_ = false;
  bool broken_ = false;
  Random random_;
  Tally tally_;
  Instant details_refilled_{};
  double details_left_ = 0;
};

}  // namespace dhub::delivery
