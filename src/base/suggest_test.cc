// SPDX-License-Identifier: Apache-2.0
#include "base/suggest.h"

#include <array>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace dhub {
namespace {

constexpr std::array<std::string_view, 5> kKnown{"event", "ordering", "retry", "timeout", "env"};

TEST(Suggest, CountsInsertionsDeletionsReplacementsAndSwaps) {
  EXPECT_EQ(edit_distance("retry", "retry", 3), 0u);
  EXPECT_EQ(edit_distance("rety", "retry", 3), 1u);
  EXPECT_EQ(edit_distance("rettry", "retry", 3), 1u);
  EXPECT_EQ(edit_distance("retri", "retry", 3), 1u);
  EXPECT_EQ(edit_distance("rerty", "retry", 3), 1u);
  EXPECT_EQ(edit_distance("", "abc", 3), 3u);
}

TEST(Suggest, StopsCountingAtTheBound) {
  EXPECT_EQ(edit_distance("abcdef", "uvwxyz", 2), 3u);
  EXPECT_EQ(edit_distance("a", "abcdefgh", 2), 3u);
}

TEST(Suggest, FindsTheWordThatWasMeant) {
  EXPECT_EQ(suggest("evnet", kKnown), "event");
  EXPECT_EQ(suggest("retries", kKnown), "");
  EXPECT_EQ(suggest("retrys", kKnown), "retry");
  EXPECT_EQ(suggest("time_out", kKnown), "timeout");
  EXPECT_EQ(suggest("Timeout", kKnown), "timeout");
}

TEST(Suggest, SaysNothingWhenNoWordIsNear) {
  for (const char* word : {"", "x", "zzz", "topic"}) EXPECT_EQ(suggest(word, kKnown), "") << word;
  EXPECT_EQ(suggest(std::string(1'000'000, 'e'), kKnown), "");
  EXPECT_EQ(suggest("event", {}), "");
}

TEST(Suggest, NamesTheWordOrAllOfThem) {
  EXPECT_EQ(did_you_mean("evnt", kKnown), "did you mean 'event'?");
  EXPECT_EQ(did_you_mean("topic", kKnown), "known are: event, ordering, retry, timeout, env");
}

RC_GTEST_PROP(SuggestProperty, DistanceIsSymmetricAndZeroOnlyForEquals, ()) {
  const auto word = rc::gen::container<std::string>(rc::gen::elementOf(std::string("abc")));
  const auto a = *rc::gen::resize(12, word);
  const auto b = *rc::gen::resize(12, word);
  RC_ASSERT(edit_distance(a, b, 64) == edit_distance(b, a, 64));
  RC_ASSERT((edit_distance(a, b, 64) == 0) == (a == b));
  RC_ASSERT(edit_distance(a, b, 64) <= std::max(a.size(), b.size()));
}

}  // namespace
}  // namespace dhub
