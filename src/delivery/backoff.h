// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/random.h"
#include "base/time.h"
#include "model/pipeline.h"

namespace dhub::delivery {

// How long to wait before the next attempt when `charged` attempts have failed (1 = after the first). With jitter,
// half of the delay is fixed and half is random ("equal jitter"), so that a burst of failures spreads out and no
// retry comes at once.
[[nodiscard]] Duration retry_delay(const RetryPolicy& policy, std::int32_t charged, Random& random);

}  // namespace dhub::delivery
