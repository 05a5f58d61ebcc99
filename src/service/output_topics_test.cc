// SPDX-License-Identifier: Apache-2.0
#include "service/output_topics.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace dhub::service {
namespace {

OutputTrouble trouble_with(std::string bad) {
  return [bad = std::move(bad)](const std::string& topic) {
    return topic == bad ? std::optional(Error{ErrorCode::TooLarge, "It is too large."}) : std::nullopt;
  };
}

Publication to(std::string topic) {
  Publication publication;
  publication.topic = std::move(topic);
  return publication;
}

TEST(OutputTopics, ThoseOfADefinitionAndThoseThatStepsChoseAreLookedAt) {
  Definition definition;
  definition.steps.resize(2);
  definition.steps[1].result_topic = "results";
  definition.options.dead_letter_topic = "other/dead";
  OutputTopics topics;
  topics.add(definition);
  topics.add({to("chosen")});
  for (const char* topic : {"results", "other/dead", "chosen"}) {
    const auto condition = topics.waiting(trouble_with(topic));
    ASSERT_TRUE(condition) << topic;
    EXPECT_EQ(condition->type, "Outputs");
    EXPECT_FALSE(condition->ok);
    EXPECT_EQ(condition->message, fmt::format("Outputs to '{}' wait: It is too large.", topic));
    EXPECT_FALSE(condition->next_action.empty());
  }
}

TEST(OutputTopics, WhatWaitsForOthersIsNotToldHere) {
  OutputTopics topics;
  topics.add({to("mine")});
  EXPECT_FALSE(topics.waiting(trouble_with("theirs")));
  EXPECT_FALSE(topics.waiting({}));
}

TEST(OutputTopics, NamesWithoutEndAreNotKept) {
  OutputTopics topics;
  for (int n = 0; n < 5000; ++n) topics.add({to(fmt::format("t{}", n))});
  int asked = 0;
  (void)topics.waiting([&asked](const std::string&) -> std::optional<Error> {
    ++asked;
    return std::nullopt;
  });
  EXPECT_EQ(asked, 1000);
}

}  // namespace
}  // namespace dhub::service
