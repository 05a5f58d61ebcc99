// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "base/time.h"

namespace dhub {

// The turn-taking under a service loop: functions run one after another on one thread, never nested. In the program it
// is an event loop; in tests a simulated one with its own clock.
class Scheduler {
 public:
  using Task = std::function<void()>;
  enum class TimerId : std::uint64_t { None = 0 };

  virtual ~Scheduler() = default;

  // Any thread. Runs `task` soon, in the order of posting. After the loop has stopped it is dropped.
  virtual void post(Task task) = 0;

  // Loop thread only. Runs `task` once, at or soon after `when`. Cancelling one that has run does nothing.
  virtual TimerId at(Instant when, Task task) = 0;
  virtual void cancel(TimerId timer) = 0;

  // Any thread.
  [[nodiscard]] virtual Now now() const = 0;
};

}  // namespace dhub
