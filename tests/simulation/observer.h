// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "model/run.h"
#include "ports/compute_backend.h"
#include "ports/journal.h"

namespace dhub::simulation {

// One event under execution by user code at a simulated instance.
struct Execution {
  InstanceId instance{};
  std::string pipeline_id;
  Version version{};
  DeliveryId delivery{};
  RunId run{};
  std::int32_t attempt = 1;
  std::string topic;
  std::optional<std::string> key;
  std::string value;
};

// Is told what really happens in the world, whatever the server believes.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void loaded(PositionUid /*position*/, OwnerEpoch /*epoch*/) {}
  virtual void commit_applied(const JournalCommit& /*commit*/) {}
  virtual void commit_answered(PositionUid /*position*/, OwnerEpoch /*epoch*/, bool /*stored*/) {}
  // What a consumer group is told.
  virtual void noted(TopicUid /*topic*/, const std::string& /*group*/, const StartOffset& /*cursor*/) {}
  virtual void sought(PositionUid /*position*/, Pass /*pass*/) {}
  virtual void instance_started(InstanceId /*instance*/, const InstanceSpec& /*spec*/) {}
  virtual void instance_gone(InstanceId /*instance*/, EndReason /*reason*/) {}
  virtual void delivered(InstanceId /*instance*/, const InstanceSpec& /*spec*/, const Delivery& /*delivery*/) {}
  virtual void begun(const Execution& /*execution*/) {}
  virtual void finished(const Execution& /*execution*/, OutcomeKind /*kind*/) {}
  // Cut short by a kill of its instance, or with its host: nobody is to be charged.
  virtual void cut_short(const Execution& /*execution*/) {}
  // It ended, and with the host went the word of it. Deliveries of different positions may have equal numbers.
  virtual void outcome_lost(const std::string& /*pipeline_id*/, DeliveryId /*delivery*/) {}
  virtual void server_killed() {}
  // A port was used in a way that its contract rules out.
  virtual void misused(const std::string& /*what*/) {}
};

}  // namespace dhub::simulation
