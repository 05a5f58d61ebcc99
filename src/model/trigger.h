// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/time.h"
#include "model/ids.h"

namespace dhub {

enum class DesiredState { Running, Paused, Stopped };

// A pipeline version bound to its topic, as the user last asked for it. Desired state is written first, then made so.
struct Trigger {
  PipelineUid pipeline{};
  std::string pipeline_id;
  Generation generation{};
  Revision revision{};  // rises with each change of this row; a row of a lower one is out of date
  Version version{};
  TopicUid topic{};
  std::string topic_name;
  PositionUid position{};
  DesiredState desired = DesiredState::Stopped;
  WallTime started_at{};
};

}  // namespace dhub
