// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/result.h"
#include "store/sqlite/writer.h"

namespace dhub::store {

// Removes what nobody may see any more, a slice at a time so that nothing waits behind it: batches past their topic's
// retention, deleted topics and pipelines, old idempotency keys; gives free pages back. Belongs to the writer's thread.
class CleanUp {
 public:
  // True when there is more to do now.
  Result<bool> slice(WriteContext& context);

 private:
  Result<bool> retention(WriteContext& context);

  // Where the round over the partitions stands: the last one that was looked at.
  std::int64_t last_topic_ = 0;
  std::int32_t last_partition_ = -1;
};

}  // namespace dhub::store
