// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "base/test_seed.h"
#include "tests/simulation/sim_world.h"

namespace dhub::simulation {

using namespace std::chrono_literals;
using service::StartFrom;

// A world that must have broken no invariant when the test ends.
class WorldTest : public testing::Test {
 protected:
  using Offsets = std::vector<std::int64_t>;

  void TearDown() override {
    EXPECT_THAT(world_.checkers.violations(), testing::IsEmpty());
    if (HasFailure()) std::fprintf(stderr, "seed %llu\n%s", static_cast<unsigned long long>(seed_), tail().c_str());
  }
  std::string tail() const { return world_.trace.last(); }
  Offsets begun(const std::string& pipeline) { return world_.checkers.begun_offsets(pipeline); }
  service::TriggerStatus status(const std::string& pipeline) {
    const auto answer = world_.status(pipeline);
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    return answer.value_or(service::TriggerStatus{});
  }
  static service::Condition condition(const service::TriggerStatus& status, const std::string& type) {
    for (const auto& condition : status.conditions)
      if (condition.type == type) return condition;
    ADD_FAILURE() << "there is no condition " << type;
    return {};
  }
  void start(const std::string& pipeline, std::optional<StartFrom> from = std::nullopt) {
    const auto started = world_.start(pipeline, from);
    EXPECT_TRUE(started) << (started ? "" : started.error().message);
  }

  const std::uint64_t seed_ = test_seed_or(1);
  SimWorld world_{seed_};
};

}  // namespace dhub::simulation
