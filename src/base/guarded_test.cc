// SPDX-License-Identifier: Apache-2.0
#include "base/guarded.h"

#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <vector>

namespace dhub {
namespace {

TEST(Guarded, AnswersWhatTheFunctionAnswers) {
  Guarded<std::string> text("a");
  EXPECT_EQ(text.with([](std::string& value) { return value += "b"; }), "ab");
  const auto& constant = text;
  EXPECT_EQ(constant.with([](const std::string& value) { return value.size(); }), 2u);
}

TEST(Guarded, BeginsWithADefaultValue) {
  const Guarded<int> number;
  EXPECT_EQ(number.with([](int value) { return value; }), 0);
}

TEST(Guarded, OneThreadAtATime) {
  constexpr int kThreads = 4;
  constexpr int kTurns = 20'000;
  Guarded<std::pair<int, bool>> count;
  bool met = false;  // written under the lock only
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i)
      threads.emplace_back([&] {
        for (int turn = 0; turn < kTurns; ++turn)
          count.with([&](std::pair<int, bool>& value) {
            met |= value.second;
            value.second = true;
            ++value.first;
            value.second = false;
          });
      });
  }
  EXPECT_EQ(count.with([](const auto& value) { return value.first; }), kThreads * kTurns);
  EXPECT_FALSE(met);
}

}  // namespace
}  // namespace dhub
