// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/guarded.h"
#include "delivery/engine.h"
#include "ports/event_log.h"
#include "ports/scheduler.h"
#include "service/lag_tracker.h"
#include "service/leash.h"
#include "service/trigger_metrics.h"

namespace dhub::service {

// How a subscription reads its topic: on from where it stands, as far as the engine has room, and a second time over
// what had to let go of its bytes. Only partitions that have news are looked at, so that the work for a message does
// not grow with their number. A paused trigger does not read: its backlog is safer in the log than in memory.
//
// Loop thread only. It asks the engine where it wants to read; what comes goes to its owner, who steps the engine.
class TopicReading {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void on_records(PartitionId partition, const delivery::ReadChunk& chunk) = 0;
    virtual void on_records_again(PartitionId partition, const delivery::ReadChunk& chunk) = 0;
    // The topic as a whole was looked at: it may have more partitions.
    virtual void on_topic(const Topic& topic) = 0;
    virtual void on_read_failed(PartitionId partition, const Error& error, bool is_new) = 0;
    virtual void on_read_recovered(PartitionId partition) = 0;
    // When next_at() may have changed.
    virtual void on_timer_moved() = 0;
  };
  struct Place {
    Scheduler& scheduler;
    EventLog& event_log;
    TopicUid topic{};
  };

  TopicReading(Place place, const delivery::Engine& engine, TriggerMetrics& metrics, Owner& owner);

  void start();
  // Nothing is read any more.
  void stop();
  void set_paused(bool paused) { is_paused_ = paused; }
  // The engine has got one more.
  void add_partition(PartitionId partition);
  // Looks at the whole topic then, or sooner.
  void look_at_topic(Instant at);
  // After each step of the engine: there may be room again.
  void look();

  [[nodiscard]] std::optional<Instant> next_at() const;
  void on_time(Instant now);

  void set_cursor(PartitionId partition, Offset cursor) { lag_.set_cursor(partition, cursor); }
  void raise_end(PartitionId partition, Offset end) { lag_.raise_end(partition, end); }
  [[nodiscard]] std::int64_t lag() const { return lag_.lag(); }
  [[nodiscard]] Offset end(PartitionId partition) const { return lag_.end(partition); }
  [[nodiscard]] const std::map<PartitionId, Error>& errors() const { return errors_; }

 private:
  // What has been told since the last turn; filled on threads of the log.
  struct News {
    bool posted = false;
    bool all = false;
    std::vector<PartitionId> partitions;
  };
  // The second reading: opened when it is needed, and closed when it has not been for a while.
  struct Again {
    std::unique_ptr<TopicReader> reader;
    std::set<PartitionId> awaited;  // the log is getting what was asked for
    std::map<PartitionId, Offset> next;
    std::optional<Instant> close_at;
  };

  [[nodiscard]] Instant now() const { return place_.scheduler.now().mono; }
  std::unique_ptr<TopicReader> open(void (TopicReading::*take)(News));
  void on_news(News news);
  void on_news_again(News news);
  void mark(PartitionId partition);
  void mark_all();
  void note_ends();
  void post();
  void wait_for_bytes();
  void read_on();
  void read_partition(PartitionId partition, Offset from);
  void read_again_on();
  void read_again(PartitionId partition, Offset from);
  [[nodiscard]] bool wants_again() const;
  void fail_read(PartitionId partition, const Error& error);
  void retry_at(Instant at);

  const Place place_;
  const delivery::Engine& engine_;
  TriggerMetrics& metrics_;
  Owner& owner_;
  std::unique_ptr<TopicReader> reader_;
  Again again_;
  std::deque<PartitionId> unread_;  // partitions with more to read, as far as is known; each once
  std::set<PartitionId> is_unread_;
  std::map<PartitionId, Error> errors_;
  LagTracker lag_;
  std::optional<Instant> retry_at_;
  std::optional<Instant> note_ends_at_;
  std::optional<Instant> ends_noted_at_;
  bool is_posted_ = false;
  bool is_paused_ = false;
  Leash leash_;  // last: cut first
};

}  // namespace dhub::service
