// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "delivery/backlog.h"
#include "delivery/committer.h"
#include "delivery/detail_budget.h"
#include "delivery/flights.h"
#include "delivery/outputs.h"
#include "delivery/ready_queues.h"
#include "delivery/settings.h"
#include "ports/journal.h"

namespace dhub::delivery {

// How much there is to do, for the autoscaler.
struct Demand {
  std::int64_t runnable = 0;  // could begin now, given an instance
  std::int64_t blocked = 0;   // read, but behind their key
  std::int64_t in_flight = 0;
  std::int64_t retrying = 0;             // wait for their next attempt
  std::optional<Duration> service_time;  // of one event; none until measured
  std::int32_t held_up = 0;              // instances that run an event which takes far longer than the others
};

struct PartitionView {
  PartitionId partition{};
  Offset cursor{};
  Offset next_read{};
  std::int64_t waiting = 0;
  std::int64_t in_flight = 0;
  std::int64_t retrying = 0;
  bool window_full = false;  // nothing more is read until the event at the cursor is finished: by offsets, or by bytes
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
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Inputs. Each settles what it brings and then pumps: due retries, dispatch, commit.
  void records(PartitionId partition, const ReadChunk& chunk, const Now& now, Outputs& out);
  // The same of a second reading, which brings back bytes that were let go.
  void records_again(PartitionId partition, const ReadChunk& chunk, const Now& now, Outputs& out);
  void instance_ready(InstanceId instance, Version version, const Now& now, Outputs& out);
  // Gone, with every delivery answered, or its host lost: what is unanswered runs again, uncharged.
  void instance_ended(InstanceId instance, const Now& now, Outputs& out);
  // It is to end though there may be work: it gets nothing more. What it has not begun its owner takes back.
  void instance_leaving(InstanceId instance);
  void outcomes(InstanceId instance, std::vector<Outcome> outcomes, const Now& now, Outputs& out);
  void commit_answered(CommitSeq seq, const Result<CommitAnswer>& answer, const Now& now, Outputs& out);
  // After the switch is durable. Attempts in flight finish on their version; unbegun ones are recalled.
  void switch_version(VersionSettings settings, const Now& now, Outputs& out);
  // Paused: nothing is dispatched; what is in flight finishes and is stored.
  void set_paused(bool paused, const Now& now, Outputs& out);
  void tick(const Now& now, Outputs& out);
  // The topic has got one more, and the journal knows it. What comes of it, the next input brings.
  void add_partition(const LoadedPartition& partition, const Now& now);
  // How many instances there are to be for now: so much is read ahead.
  void set_wanted(std::int32_t instances);

  // Where to read on in a partition; none while enough is at hand.
  [[nodiscard]] std::optional<Offset> wants_read(PartitionId partition) const;
  // Whether there is room for more at all; a single partition may be full all the same.
  [[nodiscard]] bool wants_more() const { return !broken_ && backlog_.wants_more(); }
  // Whether that is so only because other engines hold so many bytes.
  [[nodiscard]] bool waits_for_bytes() const { return !broken_ && !paused_ && backlog_.waits_for_bytes(); }
  // The partitions where something lacks its bytes and wants them.
  [[nodiscard]] std::vector<PartitionId> lacking() const;
  [[nodiscard]] bool wants_again() const { return !broken_ && backlog_.wants_again(); }
  // Where the second reading of a partition goes on; none while nothing needs it.
  [[nodiscard]] std::optional<Offset> wants_again(PartitionId partition) const;
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
  [[nodiscard]] const Backlog& backlog() const { return backlog_; }

 private:
  // What details and dead letters of a version that is no longer current still need.
  struct StepNames {
    Version version{};
    std::vector<std::string> names;
  };

  // engine.cc: inputs, and what goes to which instance
  void settle_arrivals(const Now& now);
  void give_back(const Now& now);
  void pump(const Now& now, Outputs& out);
  void make_ready(const Ref& ref, const Now& now, bool front);
  [[nodiscard]] bool has_room() const;
  [[nodiscard]] bool may_take_first_attempts() const;
  void finish_without_instances(const Now& now);
  void watch_long(const Now& now, Outputs& out);
  void fill_idle_then_busy(const Now& now, Outputs& out, bool idle);
  void fill(Slot& slot, std::size_t most, const Now& now, Outputs& out);
  bool take_ready(Ref& ref);
  void put(const Ref& ref, std::uint16_t chain, Slot& slot, const Now& now, Dispatch& dispatch);
  std::size_t ride_along(const Ref& head, std::size_t used, Slot& slot, const Now& now, Dispatch& dispatch);
  [[nodiscard]] std::size_t frame_target() const;
  void set_appetite();
  void emit_commit(const Now& now, Outputs& out);
  void settle_stored(const Now& now);

  // engine_outcomes.cc
  void settle(const Flight& flight, Outcome outcome, const Now& now, Outputs& out);
  void finish_entry(const Ref& ref, FinalState state, const Now& now);
  void fail_attempt(const Flight& flight, Outcome& outcome, const Now& now);
  void bury(const Flight& flight, Outcome& outcome, std::int32_t attempts, const Now& now);
  void tell(const Flight& flight, const Outcome& outcome, const Now& now, Outputs& out);
  [[nodiscard]] std::string step_name(Version version, std::uint16_t step) const;
  [[nodiscard]] RunId run_id(const Ref& ref) const;
  [[nodiscard]] std::string origin(const Ref& ref) const;

  EngineSettings settings_;
  Backlog backlog_;
  Flights flights_;
  ReadyQueues queues_;
  Committer committer_;
  DetailBudget details_;
  std::vector<StepNames> older_versions_;  // that have instances
  Backlog::Arrivals arrivals_;             // scratch of one input
  std::vector<Ref> given_back_;            // the same
  std::optional<Instant> watch_at_;        // when to look for instances that take long
  std::uint64_t deliveries_ = 0;
  std::uint16_t chain_ = 0;
  std::int32_t wanted_ = 0;  // 0: not told yet
  Duration service_time_{};
  bool paused_ = false;
  bool broken_ = false;
  Random random_;
  Tally tally_;
};

}  // namespace dhub::delivery
