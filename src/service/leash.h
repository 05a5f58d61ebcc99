// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "base/guarded.h"
#include "ports/answer.h"
#include "ports/scheduler.h"

namespace dhub::service {

// Ties what is called later to the life of its owner, who lives on a loop. What goes through it runs on the loop while
// the owner is there, and is dropped afterwards; adapters may answer when owner, scheduler and loop are long gone.
// Its owner ends on the loop, or when the loop has ended, and holds it as the last member, so that it is cut first.
class Leash {
 public:
  using Task = Scheduler::Task;

  explicit Leash(Scheduler& scheduler) : line_(std::make_shared<Line>(&scheduler)) {}
  ~Leash() { cut(); }
  Leash(const Leash&) = delete;
  Leash& operator=(const Leash&) = delete;

  // From here on nothing is run any more.
  void cut() {
    line_->with([](Scheduler*& scheduler) { scheduler = nullptr; });
  }

  // Any thread.
  void post(Task task) const { post(line_, std::move(task)); }
  // Of an answer to the owner: a function for any thread, at any time.
  template <typename T>
  [[nodiscard]] Answer<T> answer(Answer<T> take) const {
    return [line = line_, take = std::move(take)](Result<T> result) {
      // Shared: a task must be copyable, and what is answered may be large.
      post(line, [take, result = std::make_shared<Result<T>>(std::move(result))] { take(std::move(*result)); });
    };
  }
  // The same for word that comes without a value, again and again.
  [[nodiscard]] Task word(Task task) const {
    return [line = line_, task = std::move(task)] { post(line, task); };
  }
  // Loop only.
  Scheduler::TimerId at(Instant when, Task task) const {
    return line_->with([&](Scheduler* scheduler) { return scheduler->at(when, tied(line_, std::move(task))); });
  }

 private:
  using Line = Guarded<Scheduler*>;

  static void post(const std::shared_ptr<Line>& line, Task task) {
    line->with([&](Scheduler* scheduler) {
      if (scheduler != nullptr) scheduler->post(tied(line, std::move(task)));
    });
  }
  static Task tied(const std::shared_ptr<Line>& line, Task task) {
    return [line, task = std::move(task)] {
      const bool there = line->with([](const Scheduler* scheduler) { return scheduler != nullptr; });
      if (there) task();
    };
  }

  const std::shared_ptr<Line> line_;  // shared: with what is on its way
};

}  // namespace dhub::service
