// SPDX-License-Identifier: Apache-2.0
#include "model/run.h"

#include <gtest/gtest.h>
#include <limits>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <string>
#include <utility>
#include <vector>

namespace dhub {
namespace {

TEST(RunId, NamesPassPartitionAndOffset) {
  EXPECT_EQ(to_string(RunId{Pass{1}, PartitionId{0}, Offset{4711}}), "1-0-4711");
  EXPECT_EQ(parse_run_id("1-0-4711"), (RunId{Pass{1}, PartitionId{0}, Offset{4711}}));
}

TEST(RunId, RefusesWhatIsNoRun) {
  for (const char* text : {"", "1", "1-0", "1-0-", "-1-0-4711", "1--4711", "1-0-4711x", "1-0-4711-2", " 1-0-4711",
                           "1-0--4711", "1-+0-4711", "99999999999-0-1", "1-0-99999999999999999999", "a-b-c"})
    EXPECT_FALSE(parse_run_id(text)) << text;
}

RC_GTEST_PROP(RunIdProperty, IsReadAsItIsPrinted, ()) {
  const auto number = [](auto most) { return *rc::gen::inRange<decltype(most)>(0, most); };
  const RunId id{Pass{number(std::numeric_limits<std::int32_t>::max())},
                 PartitionId{number(std::numeric_limits<std::int32_t>::max())},
                 Offset{number(std::numeric_limits<std::int64_t>::max())}};
  RC_ASSERT(parse_run_id(to_string(id)) == id);
}

// The words of the API; stored pages hold the numbers.
TEST(FinalState, WordsAndNumbersAreFixed) {
  const std::vector<std::pair<int, std::string>> words{{0, "waiting"},       {1, "succeeded"}, {2, "filtered"},
                                                       {3, "dead_lettered"}, {4, "expired"},   {5, "skipped"},
                                                       {6, "absent"}};
  for (const auto& [number, word] : words) EXPECT_EQ(to_string(static_cast<FinalState>(number)), word);
}

TEST(OutcomeKind, WordsAndNumbersAreFixed) {
  const std::vector<std::pair<int, std::string>> words{{1, "succeeded"}, {2, "filtered"},     {3, "failed"},
                                                       {4, "rejected"},  {5, "not_started"},  {6, "crashed"},
                                                       {7, "timed_out"}, {8, "out_of_memory"}};
  for (const auto& [number, word] : words) EXPECT_EQ(to_string(static_cast<OutcomeKind>(number)), word);
}

TEST(DeliveryId, RisesAcrossOwnersWhateverTheyNumbered) {
  EXPECT_LT(make_delivery_id(OwnerEpoch{1}, 1), make_delivery_id(OwnerEpoch{1}, 2));
  EXPECT_LT(make_delivery_id(OwnerEpoch{1}, (1ULL << 40) - 1), make_delivery_id(OwnerEpoch{2}, 0));
}

}  // namespace
}  // namespace dhub
