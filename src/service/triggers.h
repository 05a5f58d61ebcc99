// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/ids.h"
#include "model/run.h"
#include "model/topic.h"
#include "model/trigger.h"
#include "ports/answer.h"

namespace dhub::service {

enum class StartFrom { Committed, Latest, Earliest };

struct StartCommand {
  std::string pipeline_id;
  std::optional<Version> version;  // none: the newest
  std::optional<StartFrom> from;   // none: Committed
  // Committed, and there is no position yet: that of this consumer group of the topic's log. Empty: the ends.
  std::string group = {};
  std::vector<StartOffset> offsets = {};  // begin there, whatever `from` says; partitions not named stay where they are
};

// Whether a group that the command names had a say.
enum class GroupUse { None, Adopted, PassedOver };  // PassedOver: the trigger has a position of its own, and keeps it

struct Started {
  Trigger trigger;
  bool resumed = false;      // it goes on at a position that existed: its own, or the group's
  std::int64_t backlog = 0;  // messages between the cursors and the ends
  GroupUse group = GroupUse::None;
};

// One stage of "would events be executed now?"; and, beside that question, what became of their outputs.
struct Condition {
  std::string type;  // Source, Service, Store; Outputs, Instances, Memory: only while it waits for such
  bool ok = false;
  std::string reason;       // CamelCase word, stable
  std::string message;      // a sentence; empty when there is nothing to say
  std::string next_action;  // what the user can do; empty when ok
};

struct PartitionStatus {
  PartitionId partition{};
  Offset cursor{};
  bool end_known = true;  // false: end and lag say nothing, because the topic's cluster has not been reached yet
  Offset end{};
  std::int64_t lag = 0;
  std::int64_t waiting = 0;  // read, not begun
  std::int64_t in_flight = 0;
  std::int64_t retrying = 0;
  std::optional<Offset> blocked_by = {};  // the unfinished offset that keeps a full window from moving
};

struct TriggerStatus {
  Trigger trigger;
  bool live = false;  // told by what runs
  bool ready = false;
  std::string etag;  // changes when anything below changes; of ends of partitions up to 100 ms later
  std::vector<Condition> conditions;
  std::vector<PartitionStatus> partitions;
  std::int32_t instances = 0;
  std::int32_t instances_ready = 0;
  std::int32_t instances_wanted = 0;
  std::string scaling_reason;  // why that many, in a sentence
  std::int64_t in_flight = 0;
  std::int64_t in_flight_bound = 0;  // most events that one crash can repeat
  std::string last_error;            // of an event or of the trigger itself
  std::optional<WallTime> last_error_at;
  // Since the engine was loaded.
  std::int64_t succeeded = 0, filtered = 0, dead_lettered = 0, expired = 0, failed_attempts = 0;
};

// What one message is doing now.
struct MessageState {
  std::string state;  // waiting, blocked, running, retrying, or a final state
  std::optional<Offset> blocked_by;
  std::optional<std::int32_t> attempt;
  std::optional<WallTime> next_attempt_at;
  std::string last_error;
};

// Starting, stopping and watching triggers. Every call may be made from any thread but the service loop's, since it may
// read the store; what does not return its answer gives it exactly once, on the caller's thread or the loop's. What a
// call changed is durable when it answers.
class Triggers {
 public:
  template <typename T>
  using Done = Answer<T>;
  struct Nothing {};

  virtual ~Triggers() = default;

  // EventOptionMissing when the version has no `event` option. Replaces a running trigger without a hole.
  virtual void start(StartCommand command, Done<Started> done) = 0;
  // Idempotent. Gives what is in flight 10 s, then kills it; answers when nothing more will be executed.
  virtual void stop(const std::string& pipeline_id, bool forget_position, Done<Nothing> done) = 0;
  // Conflict when the trigger is stopped.
  virtual void pause(const std::string& pipeline_id, Done<Nothing> done) = 0;
  virtual void resume(const std::string& pipeline_id, Done<Nothing> done) = 0;
  // A pipeline that was never started answers with desired Stopped and not ready. Numbers may be 100 ms old, but
  // what was published before the call is counted.
  [[nodiscard]] virtual Result<TriggerStatus> status(const std::string& pipeline_id) const = 0;
  [[nodiscard]] virtual Result<std::vector<TriggerStatus>> list() const = 0;
  // Somebody who waits; dropped, it is over.
  class Wait {
   public:
    virtual ~Wait() = default;
  };
  // Calls `told` once when the status has become another than that of the etag `seen`: it is to be asked for then. On
  // the loop's thread, so it must be quick, or at once on the caller's; then there is nothing to wait for (null). Of a
  // trigger that does not run, what is published to its topic is no change. Unavailable when too many wait.
  [[nodiscard]] virtual Result<std::unique_ptr<Wait>> wait(const std::string& pipeline_id, const std::string& seen,
                                                           std::function<void()> told) = 0;
  virtual void message_state(const std::string& pipeline_id, PartitionId partition, Offset offset,
                             Done<MessageState> done) = 0;
};

}  // namespace dhub::service
