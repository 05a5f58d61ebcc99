// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/timeline.h"

#include <algorithm>
#include <utility>

namespace dhub::simulation {
namespace {

constexpr std::uint64_t kMostInOneMoment = 1'000'000;

}  // namespace

Timeline::Id Timeline::at(Instant when, Task task) {
  const std::uint64_t id = ++last_id_;
  const Instant time = std::max(when, now_.mono);
  tasks_.emplace(Key{time, id}, std::move(task));
  times_.emplace(id, time);
  return Id{id};
}

void Timeline::cancel(Id id) {
  const auto found = times_.find(static_cast<std::uint64_t>(id));
  if (found == times_.end()) return;
  tasks_.erase(Key{found->second, found->first});
  times_.erase(found);
}

bool Timeline::run_next() {
  if (tasks_.empty()) return false;
  auto node = tasks_.extract(tasks_.begin());
  const auto [time, id] = node.key();
  times_.erase(id);
  if (time > now_.mono) {
    in_this_moment_ = 0;
    // The wall clock goes along, in whole milliseconds of the time since the beginning.
    const auto before = std::chrono::duration_cast<milliseconds>(now_.mono.time_since_epoch()).count();
    const auto after = std::chrono::duration_cast<milliseconds>(time.time_since_epoch()).count();
    now_.mono = time;
    now_.wall.ms += after - before;
  }
  ++in_this_moment_;
  node.mapped()();
  return true;
}

bool Timeline::spins() {
  return in_this_moment_ > kMostInOneMoment;
}

bool Timeline::run_for(Duration duration) {
  const Instant end = now_.mono + duration;
  bool reached = false;
  // A task of our own at the end, so that the clock gets there even when nothing else does.
  at(end, [&reached] { reached = true; });
  while (!reached) {
    if (spins()) return false;
    run_next();
  }
  return true;
}

bool Timeline::run_until(const std::function<bool()>& done, Duration most) {
  const Instant end = now_.mono + most;
  while (!done()) {
    if (spins() || tasks_.empty() || tasks_.begin()->first.first > end) return false;
    run_next();
  }
  return true;
}

}  // namespace dhub::simulation
