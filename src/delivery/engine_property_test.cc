// SPDX-License-Identifier: Apache-2.0
// The protocol's promises over random worlds and random interleavings. RC_PARAMS="seed=... max_success=..." repeats or
// lengthens a run; what fails is shortened and printed with its trace.
#include <cstdint>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <vector>

#include "base/test_seed.h"
#include "delivery/sim_position.h"

namespace dhub::delivery {
namespace {

// Limits small enough that each of them is met in a run of a few dozen events.
SimSettings any_world(std::uint64_t seed) {
  Random random(seed);
  const auto up_to = [&](std::uint64_t most) { return static_cast<std::int32_t>(1 + random.below(most)); };
  SimSettings settings;
  settings.partitions = up_to(2);
  settings.more_partitions = static_cast<std::int32_t>(random.below(3));
  settings.events = up_to(40);
  settings.keys = up_to(4);
  settings.faults = static_cast<std::int32_t>(random.below(12));
  EngineSettings& engine = settings.engine;
  engine.topic = "orders";
  // A third of the worlds each would starve the key, which has the most to go wrong.
  const auto ordering = random.below(6);
  if (ordering == 0) engine.ordering = Ordering::None;
  if (ordering == 1) engine.ordering = Ordering::Partition;
  engine.current.step_names = {"first", "second"};
  engine.current.retry = {up_to(4), Backoff::Exponential, milliseconds(100), milliseconds(1000), true, false};
  engine.current.retry.from_start = random.below(4) == 0;
  engine.current.dead_letter_topic = "dead";
  engine.current.max_instances = up_to(4);
  engine.current.concurrency = random.below(5) == 0 ? 2 : 1;
  engine.limits.frame_events = static_cast<std::size_t>(up_to(5));
  engine.limits.frame_work = milliseconds(random.below(2) == 0 ? 3 : 100);
  engine.limits.frame_bytes = random.below(3) == 0 ? 30 : 4096;
  engine.limits.reserve_step = up_to(12);
  engine.limits.failing_rows = up_to(6);
  engine.limits.window_offsets = 2 + up_to(30);
  engine.limits.read_ahead = up_to(20);
  if (random.below(2) == 0) engine.limits.window_bytes = 300 + random.below(3000);
  return settings;
}

std::string lines(const std::vector<std::string>& trace) {
  std::string text;
  for (const auto& line : trace) text += line + "\n";
  return text;
}

// I1, I3, I4, I5, I6, I9, ReserveFirst, SameBatch, ExpireGone, ChainCut and outputs exactly once while it runs; I7 and
// that nothing is left when the faults are over.
RC_GTEST_PROP(EngineProperty, KeepsItsPromisesInEveryWorld, (std::uint64_t world)) {
  SimPosition position(any_world(world), world);
  const auto choices = *rc::gen::scale(
      4.0, rc::gen::container<std::vector<std::uint32_t>>(rc::gen::inRange<std::uint32_t>(0, 1U << 20)));
  for (const auto choice : choices) {
    position.step(choice);
    if (!position.verdict().empty()) break;
  }
  if (position.verdict().empty()) position.heal();
  if (!position.verdict().empty()) RC_LOG() << lines(position.trace());
  RC_ASSERT(position.verdict() == "");
}

// The same with many more steps than a tape that can be shortened would have.
TEST(EngineProperty, LongRuns) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed);
  Random choices(seed);
  for (int i = 0; i < 20; ++i) {
    const std::uint64_t world = choices.next();
    SimSettings settings = any_world(world);
    settings.events = 300;
    settings.faults = 60;
    settings.more_partitions += 1;
    SimPosition position(settings, world);
    for (int step = 0; step < 3000 && position.verdict().empty(); ++step)
      position.step(static_cast<std::uint32_t>(choices.next()));
    if (position.verdict().empty()) position.heal();
    ASSERT_EQ(position.verdict(), "") << "world " << world << "\n" << lines(position.trace());
  }
}

}  // namespace
}  // namespace dhub::delivery
