// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "api/fake_client.h"

namespace dhub::api {
namespace {

class DeadLettersTest : public FakeWorld {
 protected:
  DeadLettersTest() { catalog.add("orders"); }

  DeadLetter& bury(std::int64_t number) {
    DeadLetter letter;
    letter.number = number;
    letter.run = {Pass{1}, PartitionId{2}, Offset{30 + number}};
    letter.topic = "orders-topic";
    letter.message = {"k", {{"trace", "t"}}, R"({"qty": 0})", WallTime{1'700'000'000'000}};
    letter.attempts = 10;
    letter.reason = OutcomeKind::TimedOut;
    letter.version = Version{4};
    letter.step = "price";
    letter.first_error = "ValueError: 0";
    letter.last_error = "it took longer than 60s";
    letter.trace = "File \"price\", line 3";
    letter.created_at = WallTime{1'700'000'060'000};
    return *journal.letters.insert(journal.letters.begin(), letter);
  }
};

TEST_F(DeadLettersTest, TheListIsShort) {
  bury(7);
  EXPECT_EQ(get("/events/orders/dead-letters").body,
            R"({"items":[{"number":7,"run_id":"1-2-37","topic":"orders-topic","partition":2,"offset":37,)"
            R"("timestamp":"2023-11-14T22:13:20.000Z","key":"k","reason":"timed_out","attempts":10,"version":"4",)"
            R"("step":"price","first_error":"ValueError: 0","last_error":"it took longer than 60s",)"
            R"("created_at":"2023-11-14T22:14:20.000Z"}]})");
}

TEST_F(DeadLettersTest, OneIsShownWhole) {
  bury(7);
  EXPECT_EQ(get("/events/orders/dead-letters/7").body,
            R"({"number":7,"run_id":"1-2-37","topic":"orders-topic","partition":2,"offset":37,)"
            R"("timestamp":"2023-11-14T22:13:20.000Z","key":"k","value":{"qty": 0},"headers":{"trace":"t"},)"
            R"("reason":"timed_out","attempts":10,"version":"4","step":"price","first_error":"ValueError: 0",)"
            R"("last_error":"it took longer than 60s","trace":"File \"price\", line 3",)"
            R"("created_at":"2023-11-14T22:14:20.000Z"})");
}

TEST_F(DeadLettersTest, WhatIsNotTextStaysWhatItIs) {
  DeadLetter& letter = bury(1);
  letter.message.key = std::string("\xFF\x00", 2);
  letter.message.value = "\xFE";
  const auto item = get("/events/orders/dead-letters").json().at("items").at(0).as_object();
  EXPECT_FALSE(item.contains("key")) << "a list shows text only";
  const auto whole = get("/events/orders/dead-letters/1").json().as_object();
  EXPECT_EQ(whole.at("key_base64").as_string(), "/wA=");
  EXPECT_EQ(whole.at("value_base64").as_string(), "/g==");
}

TEST_F(DeadLettersTest, ThePagesGoFromTheNewestToTheFirst) {
  for (int number = 1; number <= 5; ++number) bury(number);
  std::string seen;
  std::string query = "?limit=2";
  for (int page = 0; page < 3; ++page) {
    const auto json = get("/events/orders/dead-letters" + query).json();
    for (const auto& item : json.at("items").as_array()) seen += std::to_string(item.at("number").as_int64());
    seen += " ";
    ASSERT_EQ(json.as_object().contains("token"), page < 2);
    if (page < 2) query = "?limit=2&token=" + std::string(json.at("token").as_string());
  }
  EXPECT_EQ(seen, "54 32 1 ");
}

TEST_F(DeadLettersTest, NoneIsAnEmptyList) {
  EXPECT_EQ(get("/events/orders/dead-letters").body, R"({"items":[]})");
}

TEST_F(DeadLettersTest, APageThatCannotBeIsRefused) {
  for (const auto& [query, pointer] : std::map<std::string, std::string>{{"token=0", "?token"},
                                                                         {"token=x", "?token"},
                                                                         {"token=", "?token"},
                                                                         {"token=9223372036854775808", "?token"},
                                                                         {"limit=501", "?limit"},
                                                                         {"limit=1.5", "?limit"},
                                                                         {"reason=failed", "?reason"}}) {
    const FakeAnswer answer = get("/events/orders/dead-letters?" + query);
    EXPECT_EQ(answer.status, 422) << query;
    EXPECT_EQ(answer.pointers(), pointer) << query;
  }
}

TEST_F(DeadLettersTest, WhatIsNoNumberOfOneIsNotFound) {
  bury(1);
  for (const char* number : {"2", "0", "-1", "+1", "1.0", "0x1", "01x", "%31x", "9223372036854775808", "%00", "1%2F"}) {
    const FakeAnswer answer = get(fmt::format("/events/orders/dead-letters/{}", number));
    EXPECT_EQ(answer.status, 404) << number;
    EXPECT_EQ(answer.code(), "not_found");
  }
  EXPECT_EQ(get("/events/nobody/dead-letters/1").status, 404);
  EXPECT_EQ(get("/events/orders/dead-letters/2?a=b").status, 404) << "existence comes first";
  EXPECT_EQ(get("/events/orders/dead-letters/1?a=b").status, 422);
}

}  // namespace
}  // namespace dhub::api
