// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "model/pipeline.h"
#include "model/topic.h"
#include "model/trigger.h"
#include "ports/answer.h"
#include "ports/event_log.h"
#include "ports/journal.h"
#include "ports/outbox.h"
#include "ports/topic_registry.h"
#include "tests/simulation/observer.h"
#include "tests/simulation/timeline.h"

namespace dhub::simulation {

struct SimPartition {
  std::int64_t start = 0;                       // retention took what is below
  std::vector<std::optional<Message>> records;  // by offset; none: a hole, or taken by retention
  std::set<std::int64_t> holes;                 // as compaction and transactions leave: nothing was published there
  [[nodiscard]] std::int64_t end() const { return static_cast<std::int64_t>(records.size()); }
};

struct SimTopic {
  Topic topic;  // but for the ranges, which `partitions` knows
  std::vector<SimPartition> partitions;
  struct Remembered {
    std::vector<Message> messages;
    std::vector<Placement> placements;
    WallTime at{};
  };
  std::map<std::string, Remembered> idempotency;
  bool deleted = false;
};

struct SimPosition {
  PositionUid uid{};
  PipelineUid pipeline{};
  TopicUid topic{};
  std::int64_t epoch = 0;
  std::int32_t pass = 1;
  std::int64_t last_seq = 0;
  bool clean = true;
  OutcomeCounts counts;
  struct Part {
    std::int64_t first = 0;  // where it began
    std::int64_t cursor = 0;
    std::int64_t dispatched_through = 0;
    std::int64_t border = 0;
    std::int64_t older_border = 0;
    std::map<std::int64_t, FinalState> states;
    std::map<std::int64_t, StoredFailure> failures;
  };
  std::map<PartitionId, Part> parts;
};

[[nodiscard]] std::int64_t& count_of(OutcomeCounts& counts, FinalState state);

struct SimPipeline {
  PipelineUid uid{};
  std::string id;
  std::vector<PipelineVersion> versions;
  std::optional<Trigger> trigger;
  Instant changed_at{};  // the trigger; the server hears of it in that moment
  std::vector<DeadLetter> dead_letters;
  std::int64_t last_dead_letter = 0;
  bool deleted = false;
};

// What no disk may do, for proving that the checkers see it.
struct DiskLies {
  bool forget_commits = false;   // answers Applied and applies nothing
  bool forget_failures = false;  // keeps no account of attempts
  bool forget_outputs = false;
  bool double_outputs = false;
  bool forget_fence = false;     // applies commits of stale owners and passes
  bool keep_epoch = false;       // a load raises none
  bool forget_messages = false;  // acknowledges what is published and keeps every second message
  bool mute_watches = false;
  double skip_record = 0;  // chance that a read leaves out a record
};

// What goes wrong with the disk, and how long it takes.
struct DiskFaults {
  Duration most_delay = milliseconds(2);  // of a write; each takes some time up to this
  Duration least_delay{};                 // and beyond this
  std::optional<Error> refuse_commits;    // each is answered so and not applied
  double refuse_commit = 0;               // chance that one is, as Unavailable
  double lose_answer = 0;                 // chance that one is applied and yet answered Unavailable
  std::optional<Error> refuse_publishes;
  std::optional<Error> refuse_reads;
  double refuse_read = 0;
  double untold_arrival = 0;  // chance that a reader is not told when the records have come that it waits for
  std::optional<Error> refuse_loads;
  std::optional<Error> refuse_topic;  // is not known at this moment, to those who ask by uid
  std::optional<Error> refuse_catalog;
  double hole = 0;      // chance of a hole before a record
  double overtake = 0;  // chance that a command is applied before what was handed in earlier
};

// The durable part of a simulated server: outlives its kills. Writes are applied one after another, each some time
// after it was handed in, and answered after that; a kill cuts the queue anywhere. One thread: the timeline's.
class SimDisk {
 public:
  SimDisk(Timeline& timeline, Random& random, Observer& observer)
      : timeline_(timeline), random_(random), observer_(observer) {}

  // `apply` changes the disk, and answers what is to be called when it is durable. With `at_once` that is all done
  // before write() returns, and it may be called by any thread.
  using Answer = std::function<void()>;
  using Apply = std::function<Answer()>;
  // Commands may overtake what is written for positions, and stay in order among themselves.
  enum class Order { InTurn, Command };
  void write(Apply apply, Order order = Order::InTurn);
  // The same for a call of a port whose answer is a value.
  template <typename T, typename F>
  void call(F apply, dhub::Answer<T> done, Order order = Order::InTurn) {
    write([apply = std::move(apply),
           done = std::move(done)]() -> Answer { return [done, result = apply()] { done(result); }; },
          order);
  }
  // Before a blocking call: what was handed in before it is applied and answered first (or overtaken).
  void settle();
  // The process is gone: some of the queue was applied, nothing is answered any more.
  void crash();

  std::vector<Placement> append(SimTopic& topic, const std::vector<Message>& messages);
  SimTopic& make_topic(const std::string& name, const TopicSettings& settings);
  [[nodiscard]] SimTopic* topic(const std::string& name);
  [[nodiscard]] SimTopic* topic(TopicUid uid);
  [[nodiscard]] SimPosition* position(PositionUid uid);
  [[nodiscard]] SimPosition* position(PipelineUid owner, TopicUid topic);
  [[nodiscard]] SimPipeline* pipeline(const std::string& id);
  [[nodiscard]] SimPipeline* pipeline(PipelineUid uid);
  // As another cluster's topic may; whoever watches the topic is told.
  void add_partition(const std::string& topic);
  // Retention takes what is below `start`.
  void drop_records(const std::string& topic, PartitionId partition, std::int64_t start);

  [[nodiscard]] bool chance(double probability) { return probability > 0 && random_.unit() < probability; }
  [[nodiscard]] Now now() const { return timeline_.now(); }
  // Whatever becomes of the server.
  void later(Timeline::Task task) {
    timeline_.after(Duration{static_cast<std::int64_t>(random_.below(faults.most_delay.count()))}, std::move(task));
  }
  [[nodiscard]] Observer& observer() { return observer_; }
  [[nodiscard]] std::int64_t next_uid() { return ++last_uid_; }

  std::map<TopicUid, SimTopic> topics;
  std::map<PositionUid, SimPosition> positions;
  std::map<PipelineUid, SimPipeline> pipelines;
  std::map<TopicUid, ForeignTopic> foreign_topics;
  std::vector<OutboxEntry> outbox;
  std::int64_t last_posted = 0;
  // What consumer groups have committed, by topic; none: its log has no groups.
  std::map<TopicUid, std::map<std::string, std::vector<StartOffset>>> groups;
  DiskFaults faults;
  // As of a log that is not here: chance that a read is answered by `pending` first.
  double reads_later = 0;
  DiskLies lies;
  bool at_once = false;
  // Of the life that runs now: called after each append to a partition of a topic; none: it has got a partition.
  std::function<void(TopicUid, std::optional<PartitionId>)> on_append;
  // The same, called with each topic after a commit that put something into the outbox.
  std::function<void(const std::string&)> on_post;

 private:
  struct Write {
    Apply apply;
    Order order = Order::InTurn;
  };
  [[nodiscard]] bool overtakes(Order order);
  void apply_first();

  Timeline& timeline_;
  Random& random_;
  Observer& observer_;
  std::deque<Write> queue_;
  std::deque<Timeline::Id> turns_;  // as many: when the first of the queue is applied
  std::mutex at_once_mutex_;
  Instant last_write_at_{};
  std::int64_t last_uid_ = 0;
};

}  // namespace dhub::simulation
