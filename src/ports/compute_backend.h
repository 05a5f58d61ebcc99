// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/ids.h"
#include "model/message.h"
#include "model/pipeline.h"
#include "model/run.h"

namespace dhub {

// What an instance of the event service runs. Shared: all instances of a version refer to the same one.
struct InstanceSpec {
  std::string pipeline_id;
  Version version{};
  std::vector<Step> steps;
  std::map<std::string, std::string> env;
  std::string interpreter;  // empty = default
  InstanceLimits limits;
  Duration timeout{};  // of one delivery
  std::int32_t concurrency = 1;
};
using InstanceSpecRef = std::shared_ptr<const InstanceSpec>;

// One event handed to an instance. Views are valid during the call of deliver() only.
struct Delivery {
  DeliveryId id{};
  RunId run{};
  std::int32_t attempt = 1;
  std::uint16_t chain = 0;   // events of a frame with the same chain > 0 share a key: after one fails the
                             // later ones answer NotStarted
  std::uint16_t hops = 0;    // triggers this event has come through
  std::uint16_t step = 0;    // resume here ...
  std::string_view results;  // ... with these stored results
  std::string_view topic;
  RecordView record;
};

enum class EndReason { Drained, Crashed, TimedOut, OutOfMemory, Killed, FailedToStart, HostLost };
[[nodiscard]] const char* to_string(EndReason reason);

struct InstanceEnded {
  InstanceId instance{};
  EndReason reason = EndReason::Drained;
  std::string detail;  // "killed by signal 11 (SIGSEGV)", or the error of a failed start
  std::string trace;   // of a failed start: traceback with the user's file and line
};

// Called on the service loop, in the order in which things happened at the instance. Every delivery is answered by
// exactly one outcome before on_ended of its instance, a death included (the one that was running is Crashed, TimedOut
// or OutOfMemory, the unbegun ones NotStarted). Only after HostLost may deliveries stay unanswered: redeliver
// uncharged.
class ComputeListener {
 public:
  virtual ~ComputeListener() = default;
  virtual void on_ready(InstanceId instance) = 0;
  virtual void on_outcomes(InstanceId instance, std::vector<Outcome> outcomes) = 0;
  virtual void on_ended(const InstanceEnded& ended) = 0;  // its process is gone
};

// Where instances run. Loop thread only; nothing blocks, nothing calls the listener from inside a call.
class ComputeBackend {
 public:
  virtual ~ComputeBackend() = default;

  // Ids are the caller's, never used twice. Answers on_ready or on_ended.
  virtual void start(InstanceId instance, InstanceSpecRef spec, ComputeListener& listener) = 0;
  // A frame of events; several may be outstanding, they run in order.
  virtual void deliver(InstanceId instance, const std::vector<Delivery>& frame) = 0;
  // Whatever has not begun is answered NotStarted, soon.
  virtual void recall(InstanceId instance) = 0;
  // Finishes what it has and ends.
  virtual void drain(InstanceId instance) = 0;
  // Ends at once, with all its children. What ran is answered Crashed with the error "killed by the server": the
  // caller, who asked for it, does not charge it.
  virtual void kill(InstanceId instance) = 0;
};

}  // namespace dhub
