// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "delivery/engine.h"
#include "model/pipeline.h"
#include "model/trigger.h"
#include "ports/compute_backend.h"
#include "ports/event_log.h"
#include "ports/journal.h"
#include "ports/run_archive.h"
#include "ports/scheduler.h"
#include "service/instance_pool.h"
#include "service/lag_tracker.h"
#include "service/leash.h"
#include "service/output_topics.h"
#include "service/trigger_metrics.h"
#include "service/triggers.h"

namespace dhub::service {

// The parts of the world that a subscription touches; all outlive it.
struct World {
  Scheduler& scheduler;
  EventLog& event_log;
  Journal& journal;
  RunArchive& run_archive;
  ComputeBackend& backend;
  Metrics& metrics;
  Logger& logger;
  InstanceIds& instance_ids;
  std::int32_t cores = 1;  // max_instances when a pipeline does not say
  std::uint64_t seed = 0;
  delivery::EngineLimits limits = {};  // of each engine
  OutputTrouble output_trouble = {};   // on the loop
};

// Why a subscription could not be loaded, and whether it is the topic's log that says so.
struct LoadFailure {
  Error error;
  bool of_log = false;
};

// What a trigger runs: as the catalog has it, and the definition of its pinned version.
struct TriggerSpec {
  Trigger trigger;
  Definition definition;
};

// One running trigger: joins its topic's reader, the delivery engine, the journal and the instances of its event
// service. Everything happens on the loop's thread; calls from the store's threads are posted there first.
//
// Life: load() raises the position's owner_epoch and begins to read; stop() drains; `on_end` tells when nothing of it
// runs any more, and whether it ended by itself because the journal refused it. It is destroyed then, or when the loop
// has ended.
class Subscription final : public ComputeListener {
 public:
  using OnEnd = std::function<void(std::optional<Error> broken)>;

  static tl::expected<std::unique_ptr<Subscription>, LoadFailure> load(const World& world, TriggerSpec spec,
                                                                       OnEnd on_end);
  ~Subscription() override;
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;

  // The newly started generation goes on where this one stands. Only for the same position and ordering.
  void switch_to(TriggerSpec spec);
  [[nodiscard]] bool can_switch_to(const TriggerSpec& spec) const;
  void set_paused(bool paused);
  // Dispatches nothing more and takes back what has not begun; gives what runs `grace`, then kills it. A second call
  // can only shorten the grace.
  void stop(Duration grace);
  [[nodiscard]] bool stopping() const { return stopping_; }

  [[nodiscard]] const TriggerSpec& spec() const { return spec_; }
  [[nodiscard]] TriggerStatus status() const;
  // None when the offset is not in the window: it is final, or not read yet.
  [[nodiscard]] std::optional<MessageState> message_state(PartitionId partition, Offset offset) const;

  void on_ready(InstanceId instance) override;
  void on_outcomes(InstanceId instance, std::vector<Outcome> outcomes) override;
  void on_ended(const InstanceEnded& ended) override;

 private:
  Subscription(const World& world, TriggerSpec spec, LoadedPosition loaded, const Topic& topic, OnEnd on_end);

  // Runs one step of the engine and does what it wants done.
  template <typename Step>
  void step(Step&& step_engine);
  void carry_out();
  void after_step();
  void hand_to_journal(JournalCommit commit);
  void remember_cursors(const JournalCommit& commit);
  void tell_cursors_later();
  void tell_cursors();
  void commit_answered(CommitSeq seq, const Result<CommitAnswer>& answer);
  void rescale();
  void arm_timer();
  void on_timer();
  void break_off(Error error);
  void end_if_drained();
  void kill_what_is_left();
  void note_error(std::string text);
  void log(LogLevel level, std::string_view message, std::vector<LogField> fields);
  void tell_losses();

  // subscription_reading.cc
  void open_reader();
  void note_ends();
  void take_new_partitions(const Topic& topic);
  void on_growth();
  void post_read();
  void read_on();
  bool read_partition(PartitionId partition);
  void read_again_later(Duration delay);
  void look_again_when_behind();
  void fetch_awaited();
  void fetch(const delivery::Fetch& wanted);
  struct Chunk {
    delivery::ReadChunk chunk;
    bool end_reached = false;
    bool pending = false;
  };
  Result<Chunk> chunk_of(PartitionId partition, Result<ReadResult> read);
  Error note_read_error(PartitionId partition, Error error);

  [[nodiscard]] std::vector<Condition> conditions() const;

  const World world_;
  TriggerSpec spec_;
  OnEnd on_end_;
  OwnerEpoch epoch_;
  delivery::Engine engine_;
  InstancePool pool_;
  OutputTopics output_topics_;
  TriggerMetrics metrics_;
  delivery::Outputs out_;
  std::unique_ptr<TopicReader> reader_;
  Scheduler::TimerId timer_ = Scheduler::TimerId::None;
  std::optional<Instant> timer_at_;
  Scheduler::TimerId grace_timer_ = Scheduler::TimerId::None;
  std::optional<Instant> grace_until_;
  std::optional<Instant> reconsider_scaling_at_;
  std::optional<Instant> read_again_at_;
  std::optional<Instant> note_ends_at_;
  std::optional<Instant> note_cursors_at_;
  std::vector<PartitionId> unread_;               // partitions with more to read, as far as is known
  std::vector<delivery::Fetch> awaited_fetches_;  // the log is getting them
  bool read_posted_ = false;
  bool stepping_ = false;
  bool paused_ = false;
  bool stopping_ = false;
  bool killed_ = false;
  bool ended_ = false;
  std::optional<Error> broken_;
  std::map<PartitionId, Error> read_errors_;
  std::optional<Error> partitions_error_;  // of the last try to take up new ones
  std::optional<Error> commit_error_;
  std::string last_error_;
  std::optional<WallTime> last_error_at_;
  delivery::Tally told_;  // what the log has heard of
  LagTracker lag_;
  std::optional<Instant> ends_noted_at_;
  // What others who look at the topic's cluster are told. Empty and unused for an embedded topic.
  const bool foreign_;
  std::vector<StartOffset> committing_;   // cursors of the commit that is under way
  std::map<PartitionId, Offset> stored_;  // cursors that are stored and not told
  std::optional<Instant> cursors_noted_at_;
  // Whether a task is already posted for topic growth; shared with the store's thread, which may call a moment longer.
  std::shared_ptr<std::atomic<bool>> growth_posted_;
  Leash leash_;
};

// Steps do not nest: what happens while outputs are carried out (an instance retired) is settled in the same round.
template <typename Step>
void Subscription::step(Step&& step_engine) {
  if (ended_) return;
  if (stepping_) {
    delivery::Outputs kept;
    std::swap(kept, out_);
    step_engine(world_.scheduler.now());
    carry_out();
    std::swap(kept, out_);
    return;
  }
  stepping_ = true;
  out_.clear();
  step_engine(world_.scheduler.now());
  carry_out();
  stepping_ = false;
  after_step();
}

}  // namespace dhub::service
