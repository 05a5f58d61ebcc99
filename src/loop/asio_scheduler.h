// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "loop/turns.h"
#include "ports/scheduler.h"

namespace boost::asio {
class io_context;
}

namespace dhub::loop {

// A Scheduler on an io_context that exactly one thread runs; whoever also does network I/O on that io_context shares
// the same turn-taking. The io_context must outlive it; its timers end with it, without running. What is posted after
// the io_context was stopped is dropped at once, what was waiting then when the io_context is destroyed. A task that
// throws ends the process.
class AsioScheduler : public Scheduler {
 public:
  // The io_context must not have a concurrency hint: with the hint 1 Asio keeps what the loop itself posts in a queue
  // of its own, and what another thread posts later could run earlier.
  explicit AsioScheduler(boost::asio::io_context& io, Turns::Watch watch = Turns::Watch::Length);
  ~AsioScheduler() override;
  AsioScheduler(const AsioScheduler&) = delete;
  AsioScheduler& operator=(const AsioScheduler&) = delete;

  void post(Task task) override;
  TimerId at(Instant when, Task task) override;
  void cancel(TimerId timer) override;
  [[nodiscard]] Now now() const override;

  // Any thread. Of tasks and timers.
  [[nodiscard]] const Turns& turns() const { return *turns_; }

 private:
  struct Timers;
  boost::asio::io_context& io_;
  std::shared_ptr<Turns> turns_;    // shared: with what is posted
  std::shared_ptr<Timers> timers_;  // shared: completions that are already queued hold it weakly
};

}  // namespace dhub::loop
