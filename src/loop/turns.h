// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "base/time.h"
#include "ports/scheduler.h"

namespace dhub::loop {

// How a loop's turns go: whoever takes long, or waits for something, holds up all others. Written by the loop's thread,
// read by any.
class Turns {
 public:
  // Whether a thread waits within a turn costs two system calls to find out, so it is asked for by tests.
  enum class Watch { Length, Waits };
  explicit Turns(Watch watch = Watch::Length) : watch_(watch) {}

  void run(const Scheduler::Task& task);
  [[nodiscard]] Duration longest() const { return longest_.load(std::memory_order_relaxed); }
  // Turns in which the thread gave its processor away because it had to wait.
  [[nodiscard]] std::uint64_t waits() const { return waits_.load(std::memory_order_relaxed); }

 private:
  const Watch watch_;
  std::atomic<Duration> longest_{Duration::zero()};
  std::atomic<std::uint64_t> waits_{0};
};

}  // namespace dhub::loop
