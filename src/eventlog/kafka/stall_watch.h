// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "base/time.h"
#include "model/ids.h"

namespace dhub::kafka {

// Tells when the reading of a partition has stood still for too long though there is more to read and nobody has told
// of an error.
class StallWatch {
 public:
  static constexpr Duration kPatience = std::chrono::seconds(30);

  // To be asked after every read: it stands at `at` and the partition is known to reach up to `end`.
  [[nodiscard]] bool stalled(Offset at, Offset end, Instant now) {
    if (at >= end)
      since_.reset();
    else if (!since_ || at != at_)
      since_ = now;
    at_ = at;
    return since_ && now - *since_ >= kPatience;
  }
  void begin_anew() { since_.reset(); }

 private:
  Offset at_{};
  std::optional<Instant> since_;  // it has stood at at_
};

}  // namespace dhub::kafka
