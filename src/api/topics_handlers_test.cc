// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "api/fake_client.h"

namespace dhub::api {
namespace {

using testing::HasSubstr;
using testing::Not;

class TopicsTest : public FakeWorld {
 protected:
  Topic& add_foreign(const std::string& name) {
    Topic& topic = log.add(name);
    topic.cluster = "main";
    return topic;
  }
};

TEST_F(TopicsTest, ATopicOfAClusterHasItsPathWithAnEncodedSlash) {
  add_foreign("main/orders");
  const FakeAnswer topic = get("/topics/main%2Forders");
  ASSERT_EQ(topic.status, 200) << topic.body;
  EXPECT_EQ(topic.json().at("name").as_string(), "main/orders");
  EXPECT_EQ(topic.json().at("cluster").as_string(), "main");
  for (const char* unknown : {"retention", "created_at", "bytes"}) EXPECT_THAT(topic.body, Not(HasSubstr(unknown)));
  EXPECT_EQ(get("/topics/main%2forders").status, 200);
  EXPECT_EQ(get("/topics/main/orders").status, 404) << "a bare slash ends the name";
}

TEST_F(TopicsTest, ATopicOfOursIsToldWhole) {
  log.add("orders");
  const FakeAnswer topic = get("/topics/orders");
  EXPECT_FALSE(topic.json().as_object().contains("cluster"));
  for (const char* known : {"retention", "created_at", "bytes"}) EXPECT_THAT(topic.body, HasSubstr(known));
}

TEST_F(TopicsTest, TheListHoldsAllAndItsTokenMayHoldASlash) {
  log.add("a");
  add_foreign("main/a");
  add_foreign("main/b");
  const FakeAnswer first = get("/topics?limit=2");
  ASSERT_EQ(first.status, 200) << first.body;
  EXPECT_EQ(first.json().at("items").as_array().size(), 2U);
  EXPECT_EQ(first.json().at("token").as_string(), "main/a");
  const FakeAnswer second = get("/topics?limit=2&token=main%2Fa");
  ASSERT_EQ(second.json().at("items").as_array().size(), 1U) << second.body;
  EXPECT_EQ(second.json().at("items").at(0).at("name").as_string(), "main/b");
}

TEST_F(TopicsTest, MessagesArePublishedAndReadByTheNameWithItsCluster) {
  const FakeAnswer published = post("/topics/main%2Forders/messages", "{}");
  ASSERT_EQ(published.status, 202) << published.body;
  ASSERT_EQ(log.published.size(), 1U);
  EXPECT_EQ(log.published[0].topic, "main/orders");
  const FakeAnswer read = get("/topics/main%2Forders/messages");
  ASSERT_EQ(read.status, 200) << read.body;
  EXPECT_EQ(read.json().at("items").as_array().size(), 1U);
}

TEST_F(TopicsTest, AMadeTopicIsFoundWhereTheAnswerSays) {
  for (const auto& [path, location] : std::map<std::string, std::string>{
           {"/topics/plain", "/api/v1/topics/plain"}, {"/topics/embedded%2Fx", "/api/v1/topics/embedded%2Fx"}}) {
    const FakeAnswer made = put(path, "{}");
    ASSERT_EQ(made.status, 201) << made.body;
    EXPECT_EQ(made.header("location"), location);
    EXPECT_EQ(call("GET", made.header("location")).status, 200);
  }
}

TEST_F(TopicsTest, AProblemNamesThePathAsItWasAsked) {
  const FakeAnswer missing = get("/topics/main%2Fnone");
  EXPECT_EQ(missing.code(), "not_found");
  EXPECT_EQ(missing.json().at("instance").as_string(), "/api/v1/topics/main%2Fnone");
}

TEST_F(TopicsTest, WhatAClusterRefusesHasTheStatusOfItsKind) {
  struct Case {
    ErrorCode code;
    int status;
    const char* slug;
    const char* retry_after;
  };
  for (const Case& one : {Case{ErrorCode::Unavailable, 503, "unavailable", "1"},
                          {ErrorCode::PermissionDenied, 403, "permission_denied", ""},
                          {ErrorCode::TooLarge, 413, "too_large", ""},
                          {ErrorCode::Unsupported, 422, "not_served_yet", ""},
                          {ErrorCode::DeadlineExceeded, 504, "deadline_exceeded", ""}}) {
    log.publish_error = Error{one.code, "The cluster says so.", {}};
    const FakeAnswer refused = post("/topics/main%2Forders/messages", "{}", {{"Idempotency-Key", "k"}});
    EXPECT_EQ(refused.status, one.status);
    EXPECT_EQ(refused.code(), one.slug);
    EXPECT_EQ(refused.header("retry-after"), one.retry_after);
    EXPECT_EQ(refused.json().at("detail").as_string(), "The cluster says so.");
  }
}

}  // namespace
}  // namespace dhub::api
