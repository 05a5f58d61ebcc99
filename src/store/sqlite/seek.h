// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "base/result.h"
#include "model/topic.h"
#include "ports/catalog.h"
#include "store/sqlite/sqlite.h"

namespace dhub::store {

// Begins a new pass of a position. In each partition of `targets`: what is unfinished before the target becomes
// skipped, what was finished at and past it is taken back, charges start over. Partitions that are not named stay as
// they are. Commits of the old pass that are under way are refused from here on.
Status seek_position(Connection& db, PositionUid position, const Topic& topic, const std::vector<StartOffset>& targets);

}  // namespace dhub::store
