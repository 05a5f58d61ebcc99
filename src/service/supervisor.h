// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "ports/catalog.h"
#include "service/leash.h"
#include "service/status_board.h"
#include "service/subscription.h"
#include "service/triggers.h"

namespace dhub::service {

struct SupervisorOptions {
  std::int32_t cores = 1;  // max_instances of pipelines that do not say
  std::uint64_t seed = 0;
  Duration stop_grace = std::chrono::seconds(10);     // for what is in flight at DELETE
  delivery::EngineLimits limits = {};                 // of each trigger
  OutputTrouble output_trouble = {};                  // called on the loop
  Duration longest_write = std::chrono::seconds(10);  // that a call waits for its change to be durable
  std::int32_t most_instances = 0;                    // over all triggers; 0: 8 for each core
  std::uint64_t instance_memory = std::numeric_limits<std::uint64_t>::max();  // sum of their limits.memory
};

// Keeps each trigger as its user wants it. Desired state is written to the catalog first, each change with the next
// revision; the row that comes back is made so by reconcile(), and so is each row that is found at the start. Holds at
// most one subscription a pipeline, and begins the next one only when nothing of the last one runs any more.
//
// Everything happens on the scheduler's thread, and nothing there waits for the store: it answers later. Calls look
// things up on the caller's thread first, since another cluster's topic is asked for over a network. The ports outlive
// it. Destroy it only after shutdown() has answered, or when the loop has ended.
class Supervisor final : public Triggers {
 public:
  Supervisor(Scheduler& scheduler, Catalog& catalog, EventLog& event_log, Journal& journal, RunArchive& run_archive,
             ComputeBackend& backend, Metrics& metrics, Logger& logger, SupervisorOptions options);
  ~Supervisor() override;
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Any thread, once, before the server takes calls: starts every trigger whose desired state is not Stopped.
  void recover();
  // Any thread: stops all subscriptions but leaves desired states as they are, answers who waits for a change, and then
  // calls `done` on the loop. Calls that come later are answered, but nothing is started any more.
  void shutdown(Duration grace, std::function<void()> done);
  // Loop: what `output_trouble` says may be something else from now on.
  void outputs_changed();
  // Any thread.
  [[nodiscard]] std::size_t waits() const { return board_.waits(); }

  void start(StartCommand command, Done<Started> done) override;
  void stop(const std::string& pipeline_id, bool forget_position, Done<Nothing> done) override;
  void pause(const std::string& pipeline_id, Done<Nothing> done) override;
  void resume(const std::string& pipeline_id, Done<Nothing> done) override;
  [[nodiscard]] Result<TriggerStatus> status(const std::string& pipeline_id) const override;
  [[nodiscard]] Result<std::vector<TriggerStatus>> list() const override;
  [[nodiscard]] Result<std::unique_ptr<Wait>> wait(const std::string& pipeline_id, const std::string& seen,
                                                   std::function<void()> told) override;
  void message_state(const std::string& pipeline_id, PartitionId partition, Offset offset,
                     Done<MessageState> done) override;

 private:
  enum class Stage {
    Resting,  // nothing runs: not wanted any more, about to be loaded, or waiting for the next try
    Loading,  // the store has been asked for its version or position
    Running,
    Stopping,  // what runs is drained, or killed
  };
  // One pipeline's place: what is wanted of it, and how far that is so.
  struct Place {
    Stage stage = Stage::Resting;
    Trigger wanted;                          // the newest row that is known
    std::optional<Definition> definition;    // of its version, when it is known
    bool begin_anew = false;                 // a seek has gone past what is being loaded or runs
    std::unique_ptr<Metrics::Hold> metrics;  // they end with the trigger, not with each subscription of it
    std::unique_ptr<Subscription> current;
    std::optional<Error> error;  // why it does not run though it is meant to
    bool error_of_log = false;
    Scheduler::TimerId retry = Scheduler::TimerId::None;
    Duration retry_delay{};
    Instant shown_at{};
    Subscription::Vital shown_vital{};
    Scheduler::TimerId show_timer = Scheduler::TimerId::None;
    std::vector<std::function<void()>> when_resting;
    std::vector<std::function<void()>> when_settled;  // it runs, or is known not to, or must let another end first
  };
  // What a start must know before the loop's turn: gathered on the caller's thread, since it may wait for a network.
  struct StartPlan {
    StartCommand command;
    PipelineVersion version;
    Definition definition;
    Topic topic;
    std::vector<StartOffset> cursors;  // where it stands
    std::vector<StartOffset> adopted;  // of the consumer group
  };
  // A call that waits for the store, and is told in time whatever the store does.
  template <typename T>
  struct Waiting {
    Done<T> done;
    Scheduler::TimerId deadline = Scheduler::TimerId::None;
  };

  Scheduler::TimerId after(Duration delay, std::function<void()> task);
  // The answer to a write that `done` waits for: `then` makes it so, whether or not somebody still waits.
  template <typename Row, typename T, typename F>
  Answer<Row> written(Done<T> done, F then);

  void recover_now(Duration retry_delay);
  void take_all(const Result<std::vector<Trigger>>& triggers, Duration retry_delay);
  Place& take(const Trigger& row);
  void reconcile(PipelineUid pipeline);
  void advance(PipelineUid pipeline);
  [[nodiscard]] bool is_wanted(const Place& place) const;
  static bool goes_on(Place& place);
  void load(PipelineUid pipeline, Place& place);
  void version_read(PipelineUid pipeline, Version version, Result<PipelineVersion> read);
  void load_position(PipelineUid pipeline, Place& place);
  void position_loaded(PipelineUid pipeline, Result<LoadedPosition> loaded);
  void begin(PipelineUid pipeline, LoadedPosition loaded);
  void on_end(PipelineUid pipeline, std::optional<Error> broken);
  Place& rest(PipelineUid pipeline);
  static void settle(Place& place);
  void retry_later(PipelineUid pipeline, Error error, bool of_log);
  void forget_trouble(Place& place);
  void release(const LoadedPosition& loaded);

  // supervisor_commands.cc
  Result<StartPlan> plan_start(StartCommand command) const;
  Status adopt_group(StartPlan& plan) const;
  [[nodiscard]] Status check_room(const StartPlan& plan) const;
  void start_now(const std::shared_ptr<StartPlan>& plan, const Done<Started>& done);
  [[nodiscard]] static StartTrigger start_request(const StartPlan& plan);
  void started(StartPlan& plan, const StartedTrigger& stored, const Done<Started>& done);
  void stopped(const Trigger& row, const Done<Nothing>& done);
  void shut_down_now(Duration grace, const std::function<void()>& done);
  void set_desired(const std::string& pipeline_id, DesiredState desired, Done<Nothing> done);
  Result<PipelineUid> pipeline_uid(const std::string& pipeline_id) const;

  // supervisor_status.cc
  void changed(PipelineUid pipeline);
  void show(PipelineUid pipeline);
  [[nodiscard]] static Condition idle_condition(const Place& place);
  Result<TriggerStatus> status_by(const StatusBoard::Posted& posted, PipelineUid uid,
                                  const std::string& pipeline_id) const;
  [[nodiscard]] TriggerStatus with_ends(TriggerStatus status) const;
  void look_up_partitions(TriggerStatus& status) const;
  Result<MessageState> stored_state(const Trigger& trigger, PartitionId partition, Offset offset) const;

  Catalog& catalog_;
  Logger& logger_;
  const SupervisorOptions options_;
  InstanceIds instance_ids_;
  delivery::ByteBudget bytes_;  // of all engines
  Slots slots_;
  World world_;
  bool shutting_down_ = false;
  std::map<PipelineUid, Claim> starting_;  // of starts that are being written
  std::map<PipelineUid, Place> places_;    // of pipelines that run, are meant to, or are just stopping
  StatusBoard board_;
  Leash leash_;
};

}  // namespace dhub::service
