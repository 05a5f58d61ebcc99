// SPDX-License-Identifier: Apache-2.0
#include "delivery/backoff.h"

#include <algorithm>
#include <cmath>

namespace dhub::delivery {

Duration retry_delay(const RetryPolicy& policy, std::int32_t charged, Random& random) {
  const auto initial = static_cast<double>(policy.initial_delay.count());
  const auto most = static_cast<double>(policy.max_delay.count());
  const int failures = std::max(charged, 1);
  double delay = initial;
  if (policy.backoff == Backoff::Linear) delay = initial * failures;
  if (policy.backoff == Backoff::Exponential) delay = std::ldexp(initial, std::min(failures - 1, 62));
  delay = std::min(delay, most);
  if (policy.jitter) delay = delay / 2 + delay / 2 * random.unit();
  return Duration{static_cast<std::int64_t>(delay)};
}

}  // namespace dhub::delivery
