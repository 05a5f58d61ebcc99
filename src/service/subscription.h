// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
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
#include "service/cursor_teller.h"
#include "service/instance_pool.h"
#include "service/leash.h"
#include "service/output_topics.h"
#include "service/slots.h"
#include "service/topic_reading.h"
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
  Slots& slots;
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
// Life: begin() goes on where the journal has loaded the position; stop() drains; `on_end` tells when nothing of it
// runs any more, and whether it ended by itself because the journal refused it. It is destroyed then, or when the loop
// has ended.
class Subscription final : public ComputeListener, private TopicReading::Owner {
 public:
  using OnEnd = std::function<void(std::optional<Error> broken)>;

  static tl::expected<std::unique_ptr<Subscription>, LoadFailure> begin(const World& world, TriggerSpec spec,
                                                                        LoadedPosition loaded, OnEnd on_end);
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
  [[nodiscard]] bool stopping() const { return life_.stopping; }

  [[nodiscard]] const TriggerSpec& spec() const { return spec_; }
  // On the loop, after whatever changes status(); not from within begin().
  void when_changed(std::function<void()> told) { changed_ = std::move(told); }
  // The part of status() that people act on, cheap to compare.
  using Vital = std::tuple<unsigned, std::size_t, std::size_t>;
  [[nodiscard]] Vital vital() const;
  [[nodiscard]] TriggerStatus status() const;
  // None when the offset is not in the window: it is final, or not read yet.
  [[nodiscard]] std::optional<MessageState> message_state(PartitionId partition, Offset offset) const;

  void on_ready(InstanceId instance) override;
  void on_outcomes(InstanceId instance, std::vector<Outcome> outcomes) override;
  void on_ended(const InstanceEnded& ended) override;

 private:
  // How far it has come to its end.
  struct Life {
    bool paused = false;
    bool stopping = false;
    bool killed = false;
    bool ended = false;
    bool adding_partitions = false;  // the journal has not answered yet
    std::optional<Error> broken;
    Scheduler::TimerId grace_timer = Scheduler::TimerId::None;
    std::optional<Instant> grace_until;
  };
  // What is wrong at the moment, and what went wrong last.
  struct Troubles {
    std::optional<Error> partitions;  // of the last try to take up new ones
    std::optional<Error> commit;
    std::string last;
    std::optional<WallTime> last_at;
  };
  struct Alarm {
    Scheduler::TimerId timer = Scheduler::TimerId::None;
    std::optional<Instant> at;
    std::optional<Instant> rescale_at;
  };

  Subscription(const World& world, TriggerSpec spec, LoadedPosition loaded, const Topic& topic, OnEnd on_end);

  // subscription.cc
  // Runs one step of the engine, does what it wants done, and lets the autoscaler look.
  template <typename Step>
  void step(Step&& step_engine);
  void carry_out();
  void after_step();
  void hand_to_journal(JournalCommitRef commit);
  void commit_answered(const JournalCommitRef& commit, const Result<CommitAnswer>& answer);
  void rescale();
  void look();
  void give_back(InstanceId instance);
  void arm_timer();
  void on_timer();
  void break_off(Error error);
  void end_if_drained();
  void kill_what_is_left();
  void note_error(std::string text);
  void log(LogLevel level, std::string_view message, std::vector<LogField> fields);
  void tell_losses();

  void on_records(PartitionId partition, const delivery::ReadChunk& chunk) override;
  void on_records_again(PartitionId partition, const delivery::ReadChunk& chunk) override;
  void on_topic(const Topic& topic) override;
  void on_read_failed(PartitionId partition, const Error& error, bool is_new) override;
  void on_read_recovered(PartitionId partition) override;
  void on_timer_moved() override { arm_timer(); }
  void partitions_added(const std::vector<StartOffset>& fresh, const Status& added);

  // subscription_status.cc
  [[nodiscard]] std::vector<Condition> conditions() const;
  void add_waits(TriggerStatus& status) const;

  const World world_;
  TriggerSpec spec_;
  OnEnd on_end_;
  std::function<void()> changed_ = [] {};
  OwnerEpoch epoch_;
  delivery::Engine engine_;
  InstancePool pool_;
  OutputTopics output_topics_;
  TriggerMetrics metrics_;
  TopicReading reading_;
  CursorTeller cursors_;
  delivery::Outputs out_;
  std::vector<InstanceId> retired_;  // by the autoscaler in this step
  bool stepping_ = false;
  Life life_;
  Troubles troubles_;
  Alarm alarm_;
  delivery::Tally told_;  // what the log has heard of
  Leash leash_;           // last: cut first
};

}  // namespace dhub::service
