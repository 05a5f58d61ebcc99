// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "api/fake_client.h"

namespace dhub::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kMessages = "/topics/in/messages";

class PublishTest : public FakeWorld {
 protected:
  const PublishRequest& last() const { return log.published.back(); }
  FakeAnswer publish_lines(const std::string& body, const std::string& query = "") {
    return post(kMessages + query, body, {{"Content-Type", "application/x-ndjson"}});
  }
  void expect_refused(const FakeAnswer& answer, int status, const std::string& code) {
    EXPECT_EQ(answer.status, status) << answer.body;
    EXPECT_EQ(answer.code(), code);
    EXPECT_THAT(log.published, IsEmpty()) << "all or nothing";
  }
};

TEST_F(PublishTest, OneMessageIsTheBodyWhateverItIs) {
  const std::string binary("\x00\xFF{\"a\":1,\"a\":2}\r\n", 17);
  for (const std::string& body : {std::string("{}"), binary, std::string(" \n"), std::string(200'000, 'x')}) {
    const FakeAnswer answer = post(kMessages, body, {{"Content-Type", "application/octet-stream"}});
    EXPECT_EQ(answer.status, 202) << answer.body;
    ASSERT_EQ(last().messages.size(), 1U);
    EXPECT_EQ(last().messages[0].value, body);
    EXPECT_FALSE(last().messages[0].key);
    EXPECT_THAT(last().messages[0].headers, IsEmpty());
  }
}

TEST_F(PublishTest, TheAnswerSaysWhere) {
  EXPECT_EQ(post(kMessages, "a").body, R"({"messages":[{"partition":0,"offset":0}]})");
  EXPECT_EQ(publish_lines("{\"value\":1}\n{\"value\":2}\n").body,
            R"({"messages":[{"partition":0,"offset":1},{"partition":0,"offset":2}]})");
}

TEST_F(PublishTest, AnEmptyMessageIsNoTombstone) {
  EXPECT_EQ(post(kMessages, "").status, 202);
  EXPECT_EQ(last().messages[0].value, "");
  EXPECT_EQ(publish_lines(R"({"key":"k","value":null})").status, 202);
  EXPECT_FALSE(last().messages[0].value);
}

TEST_F(PublishTest, TheKeyIsAParameter) {
  for (const auto& [query, key] : std::map<std::string, std::string>{
           {"?key=a", "a"}, {"?key=", ""}, {"?key=a%2Fb+c", "a/b c"}, {"?key=%FF%00", std::string("\xFF\x00", 2)}}) {
    EXPECT_EQ(post(kMessages + query, "x").status, 202) << query;
    EXPECT_EQ(last().messages[0].key, key) << query;
  }
}

TEST_F(PublishTest, TheKeyStandsThereOnceAndInEachLine) {
  expect_refused(post("/topics/in/messages?key=a&key=b", "x"), 422, "invalid_argument");
  expect_refused(publish_lines(R"({"value":1})", "?key=a"), 422, "invalid_argument");
  expect_refused(post("/topics/in/messages?kay=a", "x"), 422, "invalid_argument");
}

TEST_F(PublishTest, LinesAreTakenAllOrNone) {
  const FakeAnswer answer = publish_lines("{\"value\":1}\n\n{\"valu\":2}\n");
  expect_refused(answer, 422, "invalid_argument");
  EXPECT_THAT(std::string(answer.json().at("detail").as_string()), HasSubstr("Line 3"));
  EXPECT_EQ(answer.pointers(), "/valu /value");
  expect_refused(publish_lines("{\"value\":1}\n{"), 400, "malformed");
  expect_refused(publish_lines("{\"value\":1}\n[]"), 422, "invalid_argument");
  expect_refused(publish_lines(""), 422, "invalid_argument");
  expect_refused(publish_lines(" \n\r\n"), 422, "invalid_argument");
}

TEST_F(PublishTest, WhatIsTooLargeNamesItsLimit) {
  options.limits.message = 8;
  options.limits.batch = 2;
  for (const FakeAnswer& answer : {post(kMessages, "123456789"), post("/topics/in/messages?key=12345678", "9"),
                                   publish_lines(R"({"value":1})"
                                                 "\n"
                                                 R"({"key":"1234","value_text":"56789"})")}) {
    expect_refused(answer, 413, "too_large");
    EXPECT_THAT(answer.body, HasSubstr("`message`"));
  }
  const FakeAnswer many = publish_lines("{\"value\":1}\n{\"value\":1}\n{\"value\":1}\n");
  expect_refused(many, 413, "too_large");
  EXPECT_THAT(many.body, HasSubstr("`batch`"));
  EXPECT_EQ(post(kMessages, "12345678").status, 202) << "what just fits";
}

TEST_F(PublishTest, ACloudEventIsKeptAsHeaders) {
  const Headers event{{"ce-specversion", "1.0"}, {"ce-id", "1"},         {"ce-source", "/s"},
                      {"ce-type", "t"},          {"CE-Extra", "%C3%A9"}, {"Content-Type", "text/plain"}};
  EXPECT_EQ(post(kMessages, "data", event).status, 202);
  const auto headers = last().messages[0].headers;
  EXPECT_THAT(headers,
              testing::UnorderedElementsAre(Header{"ce_specversion", "1.0"}, Header{"ce_id", "1"},
                                            Header{"ce_source", "/s"}, Header{"ce_type", "t"},
                                            Header{"ce_extra", "\xC3\xA9"}, Header{"content-type", "text/plain"}));
  EXPECT_EQ(post(kMessages, "", event).status, 202);
  EXPECT_FALSE(last().messages[0].value) << "a CloudEvent without data";
}

TEST_F(PublishTest, ACloudEventThatLacksSomethingIsRefused) {
  const FakeAnswer answer = post(kMessages, "x", {{"ce-id", "1"}, {"ce-specversion", "2.0"}});
  expect_refused(answer, 422, "invalid_argument");
  EXPECT_EQ(answer.pointers(), "ce-specversion ce-source ce-type");
}

TEST_F(PublishTest, WhatIsNotServedYetIsNotTakenForAMessage) {
  for (const char* type : {"application/cloudevents+json", "Application/CloudEvents-Batch+JSON; charset=utf-8"})
    expect_refused(post(kMessages, "{}", {{"Content-Type", type}}), 415, "not_served_yet");
  expect_refused(post(kMessages, "x", {{"Prefer", "wait=10"}}), 422, "not_served_yet");
  EXPECT_EQ(post(kMessages, "x", {{"Prefer", "return=minimal"}}).status, 202) << "a preference may be passed over";
}

TEST_F(PublishTest, HeadersThatStandThereTwiceAreRefused) {
  for (const auto& [first, second] : std::map<std::string, std::string>{
           {"Content-Type", "content-type"}, {"Idempotency-Key", "idempotency-key"}, {"Prefer", "prefer"}})
    expect_refused(post(kMessages, "x", {{first, "a"}, {second, "a"}}), 400, "malformed");
  const FakeAnswer event = post(kMessages, "x", {{"ce-id", "1"}, {"Ce-Id", "2"}});
  expect_refused(event, 422, "invalid_argument");
  EXPECT_EQ(event.pointers(), "ce-id");
}

TEST_F(PublishTest, TheIdempotencyKeyIsHandedOnOrRefused) {
  EXPECT_EQ(post(kMessages, "x").status, 202);
  EXPECT_EQ(last().idempotency_key, "");
  for (const std::string& key : {std::string("k"), std::string("\"a,b\""), std::string(255, 'k')}) {
    EXPECT_EQ(post(kMessages, "x", {{"Idempotency-Key", key}}).status, 202);
    EXPECT_EQ(last().idempotency_key, key);
  }
  log.published.clear();
  for (const std::string& key : {std::string(), std::string("a b"), std::string("\xC3\xA9"), std::string(256, 'k')})
    expect_refused(post(kMessages, "x", {{"Idempotency-Key", key}}), 422, "invalid_argument");
}

TEST_F(PublishTest, ANameThatNoTopicCanHaveIsRefused) {
  for (const std::string& name : {std::string(".."), std::string("."), std::string("a%2Fb%2Fc"), std::string("%2Fa"),
                                  std::string("a%00b"), std::string("a%20b"), std::string("%ff"),
                                  std::string("a%0d%0ab"), std::string(250, 'a'), std::string("..%2f..")})
    expect_refused(post("/topics/" + name + "/messages", "x"), 422, "invalid_argument");
  EXPECT_THAT(log.stored, IsEmpty());
}

TEST_F(PublishTest, AFullDiskIsTold) {
  log.publish_error = Error{ErrorCode::StorageFull, "The disk is below its reserve.", {}};
  const FakeAnswer answer = post(kMessages, "x");
  EXPECT_EQ(answer.status, 507);
  EXPECT_EQ(answer.code(), "storage_full");
  EXPECT_EQ(answer.header("retry-after"), "1");
}

TEST_F(PublishTest, TheAnswerComesAfterTheStoresAndKeepsNobody) {
  log.hold();
  FakeClient client(port());
  client.send(request_text("POST", "/api/v1/topics/in/messages", "x"));
  EXPECT_EQ(call("GET", "/version").status, 200);
  EXPECT_THAT(log.published, IsEmpty());
  log.release();
  EXPECT_EQ(client.read_answer().status, 202);
}

class ReadTest : public FakeWorld {
 protected:
  ReadTest() {
    Topic& topic = log.add("in", {2, std::chrono::hours(1), 0});
    topic.partitions[0].end = Offset{5};
    for (int i = 0; i < 5; ++i)
      log.messages["in"].push_back({fmt::format("k{}", i), {}, std::to_string(i), WallTime{1'700'000'000'000}});
  }
  FakeAnswer read(const std::string& query) { return get(kMessages + query); }
  static std::string offsets(const FakeAnswer& answer) {
    std::string all;
    const auto json = answer.json();
    for (const auto& item : json.at("items").as_array()) all += std::to_string(item.at("offset").as_int64());
    return all;
  }
};

TEST_F(ReadTest, MessagesAreShownInTheShapeOfPublishing) {
  EXPECT_EQ(read("?offset=4").body,
            R"({"items":[{"partition":0,"offset":4,"timestamp":"2023-11-14T22:13:20.000Z","key":"k4","value":4,)"
            R"("headers":{}}],"next_offset":5})");
}

TEST_F(ReadTest, PagesFollowEachOther) {
  const FakeAnswer first = read("?limit=2");
  EXPECT_EQ(offsets(first), "01");
  EXPECT_EQ(first.json().at("token").as_string(), "2");
  const FakeAnswer second = read("?limit=2&token=2");
  EXPECT_EQ(offsets(second), "23");
  const FakeAnswer third = read("?limit=2&token=4");
  EXPECT_EQ(offsets(third), "4");
  EXPECT_FALSE(third.json().as_object().contains("token")) << "the end is reached";
  EXPECT_EQ(third.json().at("next_offset").as_int64(), 5);
}

TEST_F(ReadTest, APartitionThatIsEmptyOrWhollyReadHasNoItems) {
  EXPECT_EQ(read("?offset=5").body, R"({"items":[],"next_offset":5})");
  EXPECT_EQ(read("?offset=5000").body, R"({"items":[],"next_offset":5000})");
  log.add("empty");
  EXPECT_EQ(get("/topics/empty/messages").body, R"({"items":[],"next_offset":0})");
}

TEST_F(ReadTest, WithoutAnOffsetItBeginsAtTheFirstThatIsKept) {
  log.stored.at("in").partitions[0].start = Offset{3};
  EXPECT_EQ(offsets(read("")), "34");
}

TEST_F(ReadTest, WhatCannotBeReadIsNamed) {
  for (const auto& [query, pointers] : std::map<std::string, std::string>{{"?offset=-1", "?offset"},
                                                                          {"?offset=x", "?offset"},
                                                                          {"?offset=9223372036854775808", "?offset"},
                                                                          {"?partition=-1", "?partition"},
                                                                          {"?partition=4294967296", "?partition"},
                                                                          {"?token=x", "?token"},
                                                                          {"?token=1&offset=1", "?token"},
                                                                          {"?limit=501", "?limit"},
                                                                          {"?from=earliest", "?from"}}) {
    const FakeAnswer answer = read(query);
    EXPECT_EQ(answer.status, 422) << query << answer.body;
    EXPECT_EQ(answer.pointers(), pointers) << query;
  }
}

TEST_F(ReadTest, WhatIsNotThereIsNotFoundAndNotMade) {
  EXPECT_EQ(read("?partition=2").code(), "not_found");
  EXPECT_THAT(read("?partition=2").body, HasSubstr("it has 2"));
  for (const char* name : {"nobody", "%2e%2e", "a%00", "A%20B", "..%2Fin"})
    EXPECT_EQ(get(fmt::format("/topics/{}/messages?offset=x", name)).status, 404) << name;
  EXPECT_EQ(log.stored.size(), 1U);
}

TEST_F(ReadTest, FollowingATopicIsNotServedYet) {
  const FakeAnswer answer = call("GET", "/api/v1/topics/in/messages", "", {{"Accept", "text/event-stream"}});
  EXPECT_EQ(answer.status, 422);
  EXPECT_EQ(answer.code(), "not_served_yet");
}

TEST_F(ReadTest, APageEndsEarlyRatherThanGrowPastItsSize) {
  log.messages["in"].clear();
  for (int i = 0; i < 20; ++i) log.messages["in"].push_back({{}, {}, std::string(1 << 20, 'x'), WallTime{1}});
  const FakeAnswer first = read("");
  ASSERT_TRUE(first.whole);
  const auto json = first.json();
  const auto count = json.at("items").as_array().size();
  EXPECT_GE(count, 8U);
  EXPECT_LT(count, 10U);
  EXPECT_EQ(json.at("token").as_string(), std::to_string(count));
}

}  // namespace
}  // namespace dhub::api
