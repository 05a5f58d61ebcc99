// SPDX-License-Identifier: Apache-2.0
#include "wiring/loop_pulse.h"

#include <utility>

namespace dhub::wiring {

LoopPulse::LoopPulse(Scheduler& scheduler, std::function<void()> on_beat)
    : scheduler_(scheduler), on_beat_(std::move(on_beat)) {}

void LoopPulse::start() {
  last_ = scheduler_.now().mono;
  scheduler_.post([this] { beat(); });
}

Duration LoopPulse::silence() const {
  return scheduler_.now().mono - last_.load();
}

void LoopPulse::beat() {
  const Instant now = scheduler_.now().mono;
  last_ = now;
  if (on_beat_) on_beat_();
  scheduler_.at(now + std::chrono::seconds(1), [this] { beat(); });
}

}  // namespace dhub::wiring
