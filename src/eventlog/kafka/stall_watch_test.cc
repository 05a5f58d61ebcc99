// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/stall_watch.h"

#include <gtest/gtest.h>

namespace dhub::kafka {
namespace {

constexpr Instant kBegin{std::chrono::hours(1)};
constexpr Instant kTooLate = kBegin + StallWatch::kPatience;

TEST(StallWatch, TellsOfAReadingThatStandsBeforeTheEnd) {
  StallWatch watch;
  EXPECT_FALSE(watch.stalled(Offset{5}, Offset{9}, kBegin));
  EXPECT_FALSE(watch.stalled(Offset{5}, Offset{9}, kTooLate - milliseconds(1)));
  EXPECT_TRUE(watch.stalled(Offset{5}, Offset{9}, kTooLate));
}

TEST(StallWatch, HasPatienceWithOneThatMoves) {
  StallWatch watch;
  EXPECT_FALSE(watch.stalled(Offset{5}, Offset{9}, kBegin));
  EXPECT_FALSE(watch.stalled(Offset{6}, Offset{9}, kBegin + milliseconds(1)));
  EXPECT_FALSE(watch.stalled(Offset{6}, Offset{9}, kTooLate));
  EXPECT_TRUE(watch.stalled(Offset{6}, Offset{9}, kTooLate + milliseconds(1)));
}

TEST(StallWatch, ExpectsNothingAtTheEnd) {
  StallWatch watch;
  EXPECT_FALSE(watch.stalled(Offset{9}, Offset{9}, kBegin));
  EXPECT_FALSE(watch.stalled(Offset{9}, Offset{9}, kTooLate));
  // Patience begins when there is something to read.
  EXPECT_FALSE(watch.stalled(Offset{9}, Offset{10}, kTooLate));
  EXPECT_FALSE(watch.stalled(Offset{9}, Offset{10}, kTooLate + milliseconds(1)));
}

TEST(StallWatch, GivesANewBeginningItsTime) {
  StallWatch watch;
  EXPECT_FALSE(watch.stalled(Offset{5}, Offset{9}, kBegin));
  watch.begin_anew();
  EXPECT_FALSE(watch.stalled(Offset{5}, Offset{9}, kTooLate));
}

}  // namespace
}  // namespace dhub::kafka
