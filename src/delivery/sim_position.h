// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "delivery/engine.h"
#include "delivery/sim_journal.h"
#include "delivery/sim_judge.h"
#include "delivery/sim_log.h"

namespace dhub::delivery {

// What the world around the engine keeps to. Each can be broken, to see that the judge notices.
struct SimRules {
  SimJournalRules journal;
  bool lease_wait = true;         // a new owner gets instances only when the old one's are gone
  bool host_wait = true;          // an instance whose host died has ended only when its process is gone
  bool page_names = true;         // a death is the deed of the event that ran
  bool recalls_heard = true;      // an instance gives back what it has not begun when it is asked to
  bool same_batch = true;         // what is sent again is what was sent
  bool reservation_kept = true;   // the journal stores dispatched_through
  bool outcomes_in_order = true;  // an instance answers in the order in which it ran
  bool log_start_true = true;     // what the reader says of the log's start
  bool failures_loaded = true;    // charges survive
  bool results_named = true;      // an outcome comes with the number of its own delivery
};

struct SimSettings {
  EngineSettings engine;
  std::int32_t partitions = 1;
  std::int32_t more_partitions = 0;  // that the topic may get while it is worked on
  std::int32_t events = 20;
  std::int32_t keys = 3;
  std::int32_t faults = 6;
  SimRules rules;
};

// A position in a simulated world: a log, a journal, instances, and an engine that owns it, with crashes of all of
// them. What happens next is chosen from outside, number by number, so that a run can be repeated and shortened.
class SimPosition {
 public:
  SimPosition(SimSettings settings, std::uint64_t seed);

  // One thing happens.
  void step(std::uint32_t choice);
  // No faults any more: everything that can happen does, until nothing is left to do. Judges that all has ended well.
  void heal();

  // The first broken promise; "" when all were kept.
  [[nodiscard]] std::string verdict() const { return judge_.verdict(); }
  [[nodiscard]] const std::vector<std::string>& trace() const { return trace_; }
  [[nodiscard]] const SimJournal& journal() const { return journal_; }

 private:
  using At = SimJournal::At;
  enum class Deed { Succeed, Filter, Fail, Kill, Reject };
  struct Plan {
    Deed deed = Deed::Succeed;
    int times = 0;  // how often it does that before it succeeds
    int outputs = 0;
  };
  struct Task {
    DeliveryId id{};
    At at{};
    std::uint16_t chain = 0;
    std::string results;
  };
  struct Instance {
    InstanceId id{};
    int owner = 0;
    std::int32_t version = 0;
    std::deque<Task> tasks;
    bool begun = false;  // the first of `tasks`
    std::vector<Outcome> outbox;
    bool dead = false;     // the process is gone; its end is told after the outbox
    bool leaving = false;  // is to end, and has been asked for what it has not begun
    bool lost = false;     // its host is gone: nobody hears of it until its process is gone
  };
  struct Owner {
    int id = 0;
    std::unique_ptr<Engine> engine;
    std::int64_t epoch = 0;
    std::optional<JournalCommit> sent;
    std::int32_t version = 1;
    bool paused = false;
    bool broken = false;
  };
  struct Action {
    std::string name;
    std::function<void()> run;
  };

  // what may happen
  std::vector<Action> actions();
  void add_owner_actions(std::vector<Action>& found);
  void add_instance_actions(std::vector<Action>& found);
  std::vector<Action> faults();

  // the topic
  void publish();
  void add_topic_partition();
  void learn_partition(Owner& owner);
  void read(Owner& owner, std::int32_t partition);
  void read_again(Owner& owner, PartitionId partition);
  [[nodiscard]] ReadChunk chunk(std::int32_t partition, Offset from, std::size_t most) const;

  // instances
  void start_instance();
  void begin(Instance& instance);
  void finish(Instance& instance);
  void die(Instance& instance);
  void flush(Instance& instance);
  void end(InstanceId id);
  void cut_chain(Instance& instance, std::uint16_t chain);
  void give_back_unbegun(Instance& instance);
  Outcome outcome_of(const Instance& instance, const Task& task, OutcomeKind kind) const;
  [[nodiscard]] bool has_foreign_instances() const;
  [[nodiscard]] Instance* find(InstanceId id);

  // owners
  void load();
  void disown(int owner);
  void crash();
  void take_over();
  void end_zombie();
  void apply(Owner& owner);
  void answer(Owner& owner, const Result<CommitAnswer>& answer);
  Result<CommitAnswer> apply(const JournalCommit& commit);
  void carry_out(Owner& owner);
  void deliver(Owner& owner, const Dispatch& dispatch);
  void pass_time();
  Owner* owner_of(const Instance& instance);
  std::vector<Owner*> owners();

  void judge_the_end();
  void run(const Action& action);
  [[nodiscard]] bool all_done();

  SimSettings settings_;
  Random random_;
  SimJournal journal_;
  Judge judge_;
  std::vector<SimLog> logs_;
  std::map<At, Plan> plans_;
  std::int32_t published_ = 0;
  std::vector<JournalCommit> lingering_;
  std::optional<Owner> owner_;
  std::optional<Owner> zombie_;
  std::vector<std::unique_ptr<Instance>> instances_;
  Outputs out_;
  Now now_{Instant{} + std::chrono::hours(1), WallTime{1'700'000'000'000}};
  std::uint64_t next_instance_ = 0;
  int next_owner_ = 0;
  std::int32_t pinned_version_ = 1;
  int faults_ = 0;
  bool healing_ = false;
  std::vector<std::string> trace_;
};

}  // namespace dhub::delivery
