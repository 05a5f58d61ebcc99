// SPDX-License-Identifier: Apache-2.0
#include "base/ring.h"

#include <deque>
#include <gtest/gtest.h>
#include <memory>

#include "base/random.h"
#include "base/test_seed.h"

namespace dhub {
namespace {

TEST(Ring, IsEmptyAtFirst) {
  Ring<int> ring;
  EXPECT_TRUE(ring.empty());
  EXPECT_EQ(ring.size(), 0U);
}

// Against std::deque, over growth and wrapping round.
TEST(Ring, BehavesAsADeque) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  Ring<int> ring;
  std::deque<int> model;
  for (int i = 0; i < 20'000; ++i) {
    // Grows for a while, then shrinks, and again.
    const bool growing = (i / 1000) % 2 == 0;
    const auto dice = random.below(10);
    if (dice < (growing ? 4U : 2U)) {
      EXPECT_EQ(ring.push_back(i), i);
      model.push_back(i);
    } else if (dice < (growing ? 6U : 3U)) {
      EXPECT_EQ(ring.push_front(i), i);
      model.push_front(i);
    } else if (!model.empty()) {
      ring.pop_front();
      model.pop_front();
    }
    ASSERT_EQ(ring.size(), model.size());
    if (model.empty()) continue;
    ASSERT_EQ(ring.front(), model.front());
    const auto at = random.below(model.size());
    ASSERT_EQ(ring[at], model[at]);
  }
}

TEST(Ring, PopReleasesWhatTheElementOwned) {
  Ring<std::shared_ptr<int>> ring;
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = owned;
  ring.push_back(std::move(owned));
  ring.pop_front();
  EXPECT_TRUE(watch.expired());
}

TEST(Ring, MayPushACopyOfItsOwnElement) {
  Ring<std::string> ring;
  ring.push_back("first");
  for (int i = 0; i < 100; ++i) ring.push_back(ring[0]);  // over several growths
  EXPECT_EQ(ring[100], "first");
}

TEST(RingDeathTest, BeyondTheEndIsAProgrammerError) {
  Ring<int> ring;
  ring.push_back(1);
  EXPECT_DEATH(ring[1], "i < size_");
  ring.pop_front();
  EXPECT_DEATH(ring.pop_front(), "size_ > 0");
}

TEST(Ring, GivesMemoryBackWhenACrowdIsGone) {
  Ring<int> ring;
  for (int i = 0; i < 100'000; ++i) ring.push_back(i);
  const std::size_t crowded = ring.capacity();
  while (ring.size() > 10) ring.pop_front();
  EXPECT_LE(ring.capacity(), 1024U);
  EXPECT_LT(ring.capacity(), crowded);
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(ring[i], 99'990 + static_cast<int>(i));
  for (int i = 0; i < 100; ++i) ring.push_front(i);
  EXPECT_EQ(ring.front(), 99);
}

}  // namespace
}  // namespace dhub
