// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "base/time.h"

namespace dhub::simulation {

// Everything that is going to happen in a simulated world, ordered by time and then by when it was put in. Its clock
// stands still but for the jump to the next thing.
class Timeline {
 public:
  using Task = std::function<void()>;
  enum class Id : std::uint64_t { None = 0 };

  Id at(Instant when, Task task);
  Id after(Duration delay, Task task) { return at(now_.mono + delay, std::move(task)); }
  void cancel(Id id);

  // False when nothing is left.
  bool run_next();
  // All that happens within `duration`; then that much time has passed. Answers false, and stops, when one moment does
  // not end: somebody spins.
  [[nodiscard]] bool run_for(Duration duration);
  // Until `done` holds; false when it does not within `most`.
  [[nodiscard]] bool run_until(const std::function<bool()>& done, Duration most);

  [[nodiscard]] Now now() const { return now_; }
  [[nodiscard]] std::size_t pending() const { return tasks_.size(); }

 private:
  using Key = std::pair<Instant, std::uint64_t>;
  [[nodiscard]] bool spins();

  Now now_{Instant{std::chrono::seconds(1000)}, WallTime{1'790'000'000'000}};
  std::uint64_t last_id_ = 0;
  std::map<Key, Task> tasks_;
  std::map<std::uint64_t, Instant> times_;  // of the tasks, by id
  std::uint64_t in_this_moment_ = 0;
};

}  // namespace dhub::simulation
