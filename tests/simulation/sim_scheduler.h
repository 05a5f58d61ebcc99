// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <utility>

#include "base/check.h"
#include "ports/scheduler.h"
#include "tests/simulation/timeline.h"

namespace dhub::simulation {

// The loop of one life of a simulated server. What it has not run yet is dropped with it, as a killed process does.
class SimScheduler final : public Scheduler {
 public:
  explicit SimScheduler(Timeline& timeline) : timeline_(timeline) {}
  ~SimScheduler() override {
    for (const auto& [id, timer] : tasks_) timeline_.cancel(id);
  }
  SimScheduler(const SimScheduler&) = delete;
  SimScheduler& operator=(const SimScheduler&) = delete;

  void post(Task task) override { (void)put(timeline_.now().mono, std::move(task), false); }
  TimerId at(Instant when, Task task) override {
    if (timers_to_drop > 0 && timers_to_drop-- > 0) task = [] {};
    return put(when, std::move(task), true);
  }
  void cancel(TimerId timer) override {
    const Timeline::Id id{static_cast<std::uint64_t>(timer)};
    if (tasks_.erase(id) > 0) timeline_.cancel(id);
  }
  [[nodiscard]] Now now() const override { return timeline_.now(); }

  // A lie, for proving that the checkers see it: so many of the timers to come are never called.
  std::int32_t timers_to_drop = 0;

  [[nodiscard]] std::size_t armed_timers() const {
    std::size_t count = 0;
    for (const auto& [id, timer] : tasks_) count += timer ? 1 : 0;
    return count;
  }
  [[nodiscard]] std::size_t posted() const { return tasks_.size() - armed_timers(); }

 private:
  TimerId put(Instant when, Task task, bool timer) {
    auto own = std::make_shared<Timeline::Id>(Timeline::Id::None);  // shared: the task learns its number afterwards
    *own = timeline_.at(when, [this, own, task = std::move(task)] {
      tasks_.erase(*own);
      CHECK(!running_);  // functions run one after another, never nested
      running_ = true;
      task();
      running_ = false;
    });
    tasks_.emplace(*own, timer);
    return TimerId{static_cast<std::uint64_t>(*own)};
  }

  Timeline& timeline_;
  std::map<Timeline::Id, bool> tasks_;  // true: a timer
  bool running_ = false;
};

}  // namespace dhub::simulation
