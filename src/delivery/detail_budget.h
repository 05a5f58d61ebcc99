// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "base/time.h"

namespace dhub::delivery {

// How many run details of successes may be told: so many a second, and those that were not used within one.
class DetailBudget {
 public:
  DetailBudget(std::int64_t per_second, Instant now)
      : most_(static_cast<double>(per_second)), refilled_(now), left_(most_) {}

  bool take(Instant now) {
    const std::chrono::duration<double> since = now - refilled_;
    left_ = std::min(most_, left_ + since.count() * most_);
    refilled_ = now;
    if (left_ < 1) return false;
    left_ -= 1;
    return true;
  }

 private:
  const double most_;
  Instant refilled_;
  double left_;
};

}  // namespace dhub::delivery
