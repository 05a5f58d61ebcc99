// SPDX-License-Identifier: Apache-2.0
#include "scaling/decide.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <vector>

namespace dhub::scaling {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart = Instant{} + 1h;

Scaling defaults(std::int32_t max_instances = 8) {
  Scaling scaling;
  scaling.max_instances = max_instances;
  return scaling;
}

struct Case {
  const char* what;
  Observations seen;
  Scaling scaling;
  std::int32_t wanted;
  Cause cause;
  std::int32_t start;
};

Observations work(std::int64_t runnable, std::int64_t blocked = 0, std::int64_t in_flight = 0) {
  Observations seen;
  seen.now = kStart;
  seen.runnable = runnable;
  seen.blocked = blocked;
  seen.in_flight = in_flight;
  return seen;
}
Observations taking(Observations seen, Duration service_time) {
  seen.service_time = service_time;
  return seen;
}
Observations with(Observations seen, std::int32_t starting, std::int32_t idle, std::int32_t busy,
                  std::int32_t leaving = 0) {
  seen.starting = starting;
  seen.idle = idle;
  seen.busy = busy;
  seen.leaving = leaving;
  if (idle > 0) seen.longest_idle_since = seen.now;
  return seen;
}
Observations held_up(Observations seen, std::int32_t instances) {
  seen.held_up = instances;
  return seen;
}
Scaling at_least(std::int32_t min_instances) {
  Scaling scaling = defaults();
  scaling.min_instances = min_instances;
  return scaling;
}
Scaling together(std::int32_t concurrency) {
  Scaling scaling = defaults(100);
  scaling.concurrency = concurrency;
  return scaling;
}

TEST(Decide, TheNumberOfInstances) {
  const std::vector<Case> cases{
      {"nothing to do", work(0), defaults(), 0, Cause::NoWork, 0},
      {"one event wakes one instance", work(1), defaults(), 1, Cause::Work, 1},
      {"10 ms an event until measured: 100 events are one second", work(100), defaults(), 1, Cause::Work, 1},
      {"one event more than one instance does in time", work(101), defaults(), 2, Cause::Work, 2},
      {"measured: slower events need more", taking(work(100), 50ms), defaults(), 5, Cause::Work, 5},
      {"measured: quick events need few", taking(work(5000), 100us), defaults(), 1, Cause::Work, 1},
      {"a large backlog is capped", work(5000), defaults(), 8, Cause::MaxInstances, 8},
      {"a huge backlog of hours overflows nothing", taking(work(1LL << 40), 24h), defaults(), 8, Cause::MaxInstances,
       8},
      {"what has begun counts as work", with(work(150, 0, 150), 0, 0, 1), defaults(), 3, Cause::Work, 2},
      {"what waits for its key counts as work for those that can run", work(2, 298), defaults(), 2, Cause::AtOnce, 2},
      {"one hot key gets one instance", with(work(0, 4000, 256), 0, 0, 1), defaults(), 1, Cause::AtOnce, 0},
      {"a slow event that runs needs no second instance", taking(with(work(0, 0, 1), 0, 0, 1), 5s), defaults(), 1,
       Cause::AtOnce, 0},
      {"slow events get one instance each", taking(with(work(3, 0, 1), 0, 0, 1), 5s), defaults(), 4, Cause::AtOnce, 3},
      {"one that hangs in an event is no help to those that wait",
       held_up(taking(with(work(3, 0, 1), 0, 0, 1), 1ms), 1), defaults(), 2, Cause::HeldUp, 1},
      {"and needs no help while nothing waits", held_up(taking(with(work(0, 5, 1), 0, 0, 1), 1ms), 1), defaults(), 1,
       Cause::Work, 0},
      {"only events behind a retry: nothing can run", work(0, 50), defaults(), 0, Cause::NoWork, 0},
      {"those that start already count", with(work(5000), 3, 1, 2), defaults(), 8, Cause::MaxInstances, 2},
      {"those that leave take room", with(work(5000), 0, 0, 2, 5), defaults(), 8, Cause::MaxInstances, 1},
      {"no room at all", with(work(5000), 0, 0, 0, 9), defaults(), 8, Cause::MaxInstances, 0},
      {"busy ones are kept", with(work(0, 0, 4), 0, 0, 4), defaults(), 4, Cause::Busy, 0},
      {"min_instances without work", work(0), at_least(2), 2, Cause::MinInstances, 2},
      {"min_instances with little work", work(1), at_least(2), 2, Cause::MinInstances, 1 + 1},
      {"max_instances is above min_instances", work(0), at_least(20), 8, Cause::MinInstances, 8},
      {"several at a time", work(1000), together(5), 2, Cause::Work, 2},
  };
  for (const auto& [what, seen, scaling, wanted, cause, start] : cases) {
    const Plan plan = decide(seen, scaling);
    EXPECT_EQ(plan.wanted, wanted) << what;
    EXPECT_EQ(plan.cause, cause) << what;
    EXPECT_EQ(plan.start, start) << what;
    EXPECT_EQ(plan.drain_idle, 0) << what;
  }
}

TEST(Decide, AnIdleInstanceEndsAfterItsOwnIdleTimeoutAndNotEarlier) {
  Observations seen = with(work(0), 0, 1, 0);
  seen.longest_idle_since = kStart;
  for (const Duration idle : {Duration(0s), Duration(1s), Duration(30s) - 1ns}) {
    seen.now = kStart + idle;
    const Plan plan = decide(seen, defaults());
    EXPECT_EQ(plan.drain_idle, 0) << to_string(idle);
    EXPECT_EQ(plan.reconsider_at, kStart + 30s) << to_string(idle);
  }
  seen.now = kStart + 30s;
  const Plan plan = decide(seen, defaults());
  EXPECT_EQ(plan.drain_idle, 1);
  EXPECT_EQ(plan.wanted, 0);
  EXPECT_FALSE(plan.reconsider_at);
}

TEST(Decide, SeveralIdleOnesEndOneByOneWithoutAPause) {
  Observations seen = with(work(0), 0, 3, 0);
  seen.longest_idle_since = kStart;
  seen.now = kStart + 30s;
  const Plan plan = decide(seen, defaults());
  EXPECT_EQ(plan.drain_idle, 1);
  EXPECT_EQ(plan.reconsider_at, seen.now);
}

TEST(Decide, OnlyTheSurplusEnds) {
  Observations seen = with(taking(work(0, 0, 2), 10ms), 0, 2, 1);
  seen.longest_idle_since = kStart - 1h;
  EXPECT_EQ(decide(seen, defaults()).drain_idle, 1);
  EXPECT_EQ(decide(seen, at_least(3)).drain_idle, 0);
  EXPECT_FALSE(decide(seen, at_least(3)).reconsider_at);
  EXPECT_FALSE(decide(seen, at_least(2)).reconsider_at);  // the other idle one is wanted
}

TEST(Decide, AnIdleTimeoutOfZeroEndsAtOnce) {
  Scaling scaling = defaults();
  scaling.idle_timeout = 0s;
  EXPECT_EQ(decide(with(work(0), 0, 1, 0), scaling).drain_idle, 1);
}

TEST(Explain, SaysTheNumbersInOneSentence) {
  struct Told {
    Observations seen;
    Scaling scaling;
    const char* sentence;
  };
  const std::vector<Told> cases{
      {work(0), defaults(), "No instances: no events."},
      {with(work(0), 0, 2, 0), defaults(), "No instances: no events; an idle instance ends after 30s (idle_timeout)."},
      {work(0, 3), defaults(), "No instances: 3 events wait for an earlier one of the same key, none can run now."},
      {work(1), defaults(), "1 instance: 1 event x 10ms (assumed) / 1s = 0.01."},
      {taking(work(5000), 12'500us), defaults(),
       "8 instances: 5000 events x 12.5ms / 1s = 62.5, at most 8 (max_instances)."},
      {taking(work(2, 298), 1'234'567ns), defaults(), "1 instance: 300 events x 1.235ms / 1s = 0.3704."},
      {work(2, 298), defaults(),
       "2 instances: 300 events x 10ms (assumed) / 1s = 3, but only 2 could have work at the same time."},
      {with(taking(work(0, 0, 4), 850us), 0, 0, 4), defaults(),
       "4 instances: 4 events x 850us / 1s = 0.0034, and 4 are busy."},
      {work(0), at_least(2), "2 instances: no events, at least 2 (min_instances)."},
      {taking(work(1000), 10ms), together(5), "2 instances: 1000 events x 10ms / 1s / 5 at a time = 2."},
      {with(taking(work(5000), 10ms), 0, 0, 2, 5), defaults(),
       "8 instances: 5000 events x 10ms / 1s = 50, at most 8 (max_instances). 5 more when others have ended."},
  };
  for (const auto& [seen, scaling, sentence] : cases)
    EXPECT_EQ(explain(seen, scaling, decide(seen, scaling)), sentence);
}

Scaling any_scaling() {
  Scaling scaling;
  scaling.max_instances = *rc::gen::inRange(1, 50);
  scaling.min_instances = *rc::gen::inRange(0, scaling.max_instances + 1);
  scaling.concurrency = *rc::gen::inRange(1, 20);
  scaling.target_delay = milliseconds(*rc::gen::inRange(1, 5000));
  scaling.idle_timeout = milliseconds(*rc::gen::inRange(0, 60'000));
  return scaling;
}

Observations any_work(const Scaling& scaling) {
  Observations seen = work(*rc::gen::inRange(0, 10'000), *rc::gen::inRange(0, 10'000));
  seen.busy = *rc::gen::inRange(0, scaling.max_instances + 1);
  seen.in_flight = seen.busy * *rc::gen::inRange(1, 500);
  const std::int32_t rest = scaling.max_instances - seen.busy;
  seen.starting = *rc::gen::inRange(0, rest + 1);
  seen.idle = *rc::gen::inRange(0, rest - seen.starting + 1);
  seen.leaving = *rc::gen::inRange(0, 5);
  if (seen.idle > 0) seen.longest_idle_since = kStart - milliseconds(*rc::gen::inRange(0, 120'000));
  if (*rc::gen::arbitrary<bool>()) seen.service_time = std::chrono::microseconds(*rc::gen::inRange(0, 2'000'000));
  return seen;
}

RC_GTEST_PROP(DecideProperty, KeepsItsBounds, ()) {
  const Scaling scaling = any_scaling();
  const Observations seen = any_work(scaling);
  const Plan plan = decide(seen, scaling);
  const std::int32_t present = seen.starting + seen.idle + seen.busy;
  RC_ASSERT(plan.wanted >= scaling.min_instances);
  RC_ASSERT(plan.wanted <= scaling.max_instances);
  RC_ASSERT(plan.wanted >= seen.busy);
  RC_ASSERT(plan.wanted <= std::max<std::int64_t>(seen.busy + seen.runnable, scaling.min_instances));
  RC_ASSERT(seen.runnable == 0 || plan.wanted >= 1);
  RC_ASSERT(plan.start >= 0);
  RC_ASSERT(plan.start == 0 || present + seen.leaving + plan.start <= scaling.max_instances);
  RC_ASSERT(plan.drain_idle >= 0 && plan.drain_idle <= seen.idle);
  RC_ASSERT(plan.drain_idle == 0 || present - plan.drain_idle >= plan.wanted);
  RC_ASSERT(plan.start == 0 || plan.drain_idle == 0);
  RC_ASSERT(plan.drain_idle == 0 || seen.now - *seen.longest_idle_since >= scaling.idle_timeout);
  RC_ASSERT(!plan.reconsider_at || *plan.reconsider_at >= seen.now);
}

RC_GTEST_PROP(DecideProperty, MoreWorkNeverAsksForFewer, ()) {
  const Scaling scaling = any_scaling();
  const Observations less = any_work(scaling);
  Observations more = less;
  more.runnable += *rc::gen::inRange(0, 1000);
  more.blocked += *rc::gen::inRange(0, 1000);
  RC_ASSERT(decide(more, scaling).wanted >= decide(less, scaling).wanted);
  more.service_time = less.service_time.value_or(10ms) + milliseconds(*rc::gen::inRange(0, 1000));
  RC_ASSERT(decide(more, scaling).wanted >= decide(less, scaling).wanted);
}

// The instances of one trigger as data: whoever carries out plans, with time as a number.
struct Fleet {
  Scaling scaling;
  Instant now = kStart;
  std::vector<Instant> idle_since;
  std::int32_t starting = 0;

  Plan step(std::int64_t runnable) {
    Observations seen = work(runnable);
    seen.now = now;
    seen.starting = starting;
    seen.idle = static_cast<std::int32_t>(idle_since.size());
    const auto longest = std::min_element(idle_since.begin(), idle_since.end());
    if (longest != idle_since.end()) seen.longest_idle_since = *longest;
    const Plan plan = decide(seen, scaling);
    starting += plan.start;
    if (plan.drain_idle > 0) idle_since.erase(longest);
    return plan;
  }
  void all_become_ready() {
    for (; starting > 0; --starting) idle_since.push_back(now);
  }
};

RC_GTEST_PROP(DecideProperty, GoesToZeroByItsOwnWakeUpsAndComesBack, ()) {
  Fleet fleet;
  fleet.scaling = any_scaling();
  fleet.scaling.min_instances = 0;
  fleet.step(*rc::gen::inRange(1, 10'000));
  RC_ASSERT(fleet.starting >= 1);
  fleet.all_become_ready();
  const Instant idle_from = fleet.now;
  for (int steps = 0; steps < 200; ++steps) {
    const Plan plan = fleet.step(0);
    if (!plan.reconsider_at) break;
    fleet.now = *plan.reconsider_at;
  }
  RC_ASSERT(fleet.idle_since.empty());
  RC_ASSERT(fleet.now - idle_from == fleet.scaling.idle_timeout);
  RC_ASSERT(fleet.step(1).start == 1);
}

}  // namespace
}  // namespace dhub::scaling
