// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/run.h"
#include "store/sqlite/sqlite.h"

namespace dhub::store {

// Gives the letter the next number of its pipeline; `record` is the encoded message.
Status insert_dead_letter(Connection& db, PipelineUid pipeline, const DeadLetter& letter, std::string_view record,
                          WallTime now);
// Newest first, those below `before` (0 = from the newest).
[[nodiscard]] Result<std::vector<DeadLetter>> list_dead_letters(Connection& db, PipelineUid pipeline,
                                                                std::int64_t before, std::size_t limit);
[[nodiscard]] Result<DeadLetter> find_dead_letter(Connection& db, PipelineUid pipeline, std::int64_t number);

}  // namespace dhub::store
