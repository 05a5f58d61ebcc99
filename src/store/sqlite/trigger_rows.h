// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "ports/catalog.h"
#include "store/sqlite/sqlite.h"

// Rows of triggers, and what a start does to a position.
namespace dhub::store {

[[nodiscard]] Result<Trigger> find_trigger(Connection& db, PipelineUid pipeline);
[[nodiscard]] Result<std::vector<Trigger>> list_triggers(Connection& db);

// Generation, version, position, start offsets and desired state. InvalidArgument when an offset is outside the log.
Result<StartedTrigger> start_trigger_rows(Connection& db, const StartTrigger& request, WallTime now);
Result<Trigger> set_trigger_desired(Connection& db, PipelineUid pipeline, DesiredState desired);

}  // namespace dhub::store
