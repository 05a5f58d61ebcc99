// SPDX-License-Identifier: Apache-2.0
// The whole service in random worlds. DHUB_TEST_SEED=N begins with world N, DHUB_SIM_WORLDS=N says how many.
#include "tests/simulation/any_world.h"
#include "tests/simulation/world_test.h"

namespace dhub::simulation {
namespace {

using testing::IsEmpty;

int worlds() {
  const char* given = std::getenv("DHUB_SIM_WORLDS");
  return given == nullptr ? 1000 : std::atoi(given);
}

TEST(Scenarios, EveryWorldKeepsItsPromises) {
  const std::uint64_t first = test_seed_or(fresh_seed() >> 16);
  std::int64_t executions = 0;
  for (std::uint64_t seed = first; seed < first + static_cast<std::uint64_t>(worlds()); ++seed) {
    AnyWorld any(seed);
    any.live(40 + static_cast<int>(seed % 4) * 40);
    if (any.sound()) any.heal();
    executions += any.world.checkers.executions();
    ASSERT_THAT(any.world.checkers.violations(), IsEmpty())
        << any.world.trace.last() << "repeat it: DHUB_TEST_SEED=" << seed << " DHUB_SIM_WORLDS=1";
  }
  std::printf("worlds %d from seed %llu, executions %lld\n", worlds(), static_cast<unsigned long long>(first),
              static_cast<long long>(executions));
}

TEST(Scenarios, TheSameSeedGivesTheSameWorld) {
  std::vector<std::uint64_t> hashes;
  for (int i = 0; i < 2; ++i) {
    AnyWorld any(7);
    any.live(200);
    hashes.push_back(any.world.trace.hash());
  }
  EXPECT_EQ(hashes[0], hashes[1]);
}

}  // namespace
}  // namespace dhub::simulation
