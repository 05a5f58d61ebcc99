// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>

#include "ports/scheduler.h"

namespace dhub::wiring {

// Shows that the service loop takes its turns: leaves a mark every second, which any thread can look at. Lives as long
// as the loop runs.
class LoopPulse {
 public:
  // `on_beat` is called on the loop with each mark; may be empty.
  LoopPulse(Scheduler& scheduler, std::function<void()> on_beat);
  LoopPulse(const LoopPulse&) = delete;
  LoopPulse& operator=(const LoopPulse&) = delete;

  // Any thread, once.
  void start();
  // Any thread. Since the last mark; from start() on before the first.
  [[nodiscard]] Duration silence() const;

 private:
  void beat();

  Scheduler& scheduler_;
  std::function<void()> on_beat_;
  std::atomic<Instant> last_{};
};

}  // namespace dhub::wiring
