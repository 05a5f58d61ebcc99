// SPDX-License-Identifier: Apache-2.0
#include "api/message_codec.h"

#include <gtest/gtest.h>

#include "api/base64.h"
#include "base/random.h"
#include "base/test_seed.h"

namespace dhub::api {
namespace {

Message read(std::string_view line) {
  JsonReader reader;
  auto message = parse_message(line, reader);
  EXPECT_TRUE(message) << line << ": " << message.error().message;
  return message ? *message : Message{};
}

std::vector<std::string> pointers(std::string_view line) {
  JsonReader reader;
  const auto message = parse_message(line, reader);
  EXPECT_FALSE(message) << line;
  std::vector<std::string> out;
  if (!message)
    for (const auto& field : message.error().fields) out.push_back(field.pointer);
  return out;
}

std::string written(const Message& message) {
  JsonReader reader;
  JsonWriter out;
  out.begin_object();
  write_message(message, reader, out);
  return out.end_object().take();
}

TEST(MessageCodec, KeepsJsonByteForByte) {
  EXPECT_EQ(read(R"({"value": {"b" : 1.0, "a":1e400 , "a":[ ]} , "key":"k"})").value,
            R"({"b" : 1.0, "a":1e400 , "a":[ ]})");
  EXPECT_EQ(read(R"({"value":"text"})").value, R"("text")");
  EXPECT_EQ(read(R"({"value":12345678901234567890123})").value, "12345678901234567890123");
}

TEST(MessageCodec, ReadsTextBytesAndTombstones) {
  EXPECT_EQ(read(R"({"value_text":"a\nb"})").value, "a\nb");
  EXPECT_EQ(read(R"({"value_base64":"AP8="})").value, std::string("\0\xff", 2));
  EXPECT_EQ(read(R"({"value":null})").value, std::nullopt);
  EXPECT_EQ(read(R"({"value_text":""})").value, "");
}

TEST(MessageCodec, AnEmptyKeyIsAKeyAndNoKeyIsNone) {
  EXPECT_EQ(read(R"({"key":"","value":1})").key, "");
  EXPECT_EQ(read(R"({"key":null,"value":1})").key, std::nullopt);
  EXPECT_EQ(read(R"({"value":1})").key, std::nullopt);
  EXPECT_EQ(read(R"({"key_base64":"/w==","value":1})").key, "\xff");
}

TEST(MessageCodec, ReadsHeadersInBothShapes) {
  EXPECT_EQ(read(R"({"value":1,"headers":{"a":"1","b":null}})").headers,
            (std::vector<Header>{{"a", "1"}, {"b", std::nullopt}}));
  EXPECT_EQ(read(R"({"value":1,"headers":[{"name":"a","value":"1"},{"name":"a","value_base64":"/w=="},{"name":"c"}]})")
                .headers,
            (std::vector<Header>{{"a", "1"}, {"a", "\xff"}, {"c", std::nullopt}}));
}

TEST(MessageCodec, NamesWhatIsWrong) {
  using P = std::vector<std::string>;
  EXPECT_EQ(pointers("[]"), P{""});
  EXPECT_EQ(pointers("{}"), P{"/value"});
  EXPECT_EQ(pointers(R"({"value":1,"value_text":"x"})"), P{"/value"});
  EXPECT_EQ(pointers(R"({"valeu":1,"value":2})"), P{"/valeu"});
  EXPECT_EQ(pointers(R"({"value":1,"key":7})"), P{"/key"});
  EXPECT_EQ(pointers(R"({"value":1,"key":"a","key_base64":"YQ=="})"), P{"/key_base64"});
  EXPECT_EQ(pointers(R"({"value_text":7})"), P{"/value_text"});
  EXPECT_EQ(pointers(R"({"value_base64":"AP8"})"), P{"/value_base64"});
  EXPECT_EQ(pointers(R"({"value":1,"headers":7})"), P{"/headers"});
  EXPECT_EQ(pointers(R"({"value":1,"headers":{"a":7}})"), P{"/headers/a"});
  EXPECT_EQ(pointers(R"({"value":1,"headers":{"a":"1","a":"2"}})"), P{"/headers/a"});
  EXPECT_EQ(pointers(R"({"value":1,"headers":[7]})"), P{"/headers/0"});
  EXPECT_EQ(pointers(R"({"value":1,"headers":[{"value":"x"}]})"), P{"/headers/0/name"});
  EXPECT_EQ(pointers(R"({"value":1,"headers":{"":"x"}})"), P{"/headers/"});
  EXPECT_EQ(pointers("{\"value\":1,\"headers\":{\"" + std::string(70'000, 'x') + "\":\"x\"}}").size(), 1u);
  JsonReader reader;
  EXPECT_EQ(parse_message("{\"value\":[1,,2]}", reader).error().code, ErrorCode::Malformed);
  EXPECT_EQ(parse_message("{\"value\":1,\"value\":2}", reader).error().code, ErrorCode::Malformed);
}

TEST(MessageCodec, ReadsLinesAndNamesTheOneThatIsWrong) {
  const BatchLimits limits{3, 100};
  const auto good = parse_messages("{\"value\":1}\n\n  \r\n{\"value\":2}\r\n{\"value\":3}", limits);
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->size(), 3u);
  const auto bad = parse_messages("{\"value\":1}\n\n{\"valeu\":1}\n", limits);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message.substr(0, 7), "Line 3:");
  EXPECT_EQ(parse_messages("{\"value\":1}\n{\"value\":1}\n{\"value\":1}\n{\"value\":1}\n", limits).error().code,
            ErrorCode::TooLarge);
  EXPECT_EQ(parse_messages("{\"value_text\":\"" + std::string(101, 'x') + "\"}", limits).error().code,
            ErrorCode::TooLarge);
  EXPECT_EQ(parse_messages(" \n\n", limits).error().code, ErrorCode::InvalidArgument);
}

TEST(MessageCodec, WritesEachValueInTheShapeThatLosesNothing) {
  const auto value = [](std::optional<std::string> bytes) { return written({std::nullopt, {}, std::move(bytes), {}}); };
  EXPECT_EQ(value(R"({"a": 1.0})"), R"({"key":null,"value":{"a": 1.0},"headers":{}})");
  EXPECT_EQ(value(std::nullopt), R"({"key":null,"value":null,"headers":{}})");
  EXPECT_EQ(value("null"), R"({"key":null,"value_text":"null","headers":{}})");
  EXPECT_EQ(value(" 1"), R"({"key":null,"value_text":" 1","headers":{}})");
  EXPECT_EQ(value("1\n"), R"({"key":null,"value_text":"1\n","headers":{}})");
  EXPECT_EQ(value(""), R"({"key":null,"value_text":"","headers":{}})");
  EXPECT_EQ(value("hello"), R"({"key":null,"value_text":"hello","headers":{}})");
  EXPECT_EQ(value("\xff"), R"({"key":null,"value_base64":"/w==","headers":{}})");
  EXPECT_EQ(value(std::string(1000, '[') + std::string(1000, ']')).substr(0, 25), R"({"key":null,"value_text":)");
}

std::string random_bytes(Random& random) {
  static const std::vector<std::string> pieces{
      "a", "\"", "\\", "\n", " ", "{}", "1", "null", "\xff", "\xc3\xa9", "[1]", std::string(1, '\0'), "{\"a\":[1, 2]}"};
  std::string out;
  for (auto n = random.below(4); n > 0; --n) out += pieces[random.below(pieces.size())];
  return out;
}

TEST(MessageCodec, WhatIsWrittenIsReadAsTheSameMessage) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  for (int i = 0; i < 5'000; ++i) {
    Message message;
    if (random.below(3) != 0) message.key = random_bytes(random);
    if (random.below(5) != 0) message.value = random_bytes(random);
    for (auto n = random.below(3); n > 0; --n) {
      // Names that are not text cannot be written as JSON; they come from elsewhere and are shown only.
      const std::string name = "h" + std::to_string(random.below(2));
      message.headers.push_back({name, random.below(4) == 0 ? std::nullopt : std::optional(random_bytes(random))});
    }
    const std::string line = written(message);
    EXPECT_EQ(read(line), message) << line;
  }
}

TEST(Base64, GoesThereAndBack) {
  Random random(7);
  for (std::size_t size = 0; size < 70; ++size) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(random.below(256));
    EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes) << size;
  }
  EXPECT_EQ(base64_encode("foobar"), "Zm9vYmFy");
}

TEST(Base64, IsStrict) {
  for (const char* text : {"A", "AA", "AAA", "AA=A", "A===", "====", "=", "AB==", "AAB=", "AA-_", "AA A", "AAAA="})
    EXPECT_EQ(base64_decode(text), std::nullopt) << text;
}

Request event(std::vector<NameValue> headers) {
  Request request;
  request.headers = std::move(headers);
  return request;
}

TEST(CloudEvents, BinaryModeBecomesHeaders) {
  const auto headers = cloud_event_headers(event({{"ce-specversion", "1.0"},
                                                  {"ce-id", "1"},
                                                  {"ce-source", "/shop"},
                                                  {"ce-type", "order.placed"},
                                                  {"ce-subject", "K%C3%A4se%20%2525"},
                                                  {"ce-note", "\"a \\\"b\\\"\""},
                                                  {"content-type", "application/json"},
                                                  {"x-other", "no"}}));
  ASSERT_TRUE(headers) << headers.error().message;
  EXPECT_EQ(*headers, (std::vector<Header>{{"ce_specversion", "1.0"},
                                           {"ce_id", "1"},
                                           {"ce_source", "/shop"},
                                           {"ce_type", "order.placed"},
                                           {"ce_subject", "K\xc3\xa4se %25"},
                                           {"ce_note", "a \"b\""},
                                           {"content-type", "application/json"}}));
}

TEST(CloudEvents, AMessageWithoutAttributesIsNone) {
  EXPECT_TRUE(cloud_event_headers(event({{"content-type", "text/plain"}}))->empty());
}

TEST(CloudEvents, LackingOrBadAttributesAreNamed) {
  const auto wrong = [](std::vector<NameValue> headers) {
    const auto result = cloud_event_headers(event(std::move(headers)));
    EXPECT_FALSE(result);
    return result ? std::string() : result.error().fields.at(0).pointer;
  };
  const NameValue version{"ce-specversion", "1.0"};
  const NameValue id{"ce-id", "1"};
  const NameValue source{"ce-source", "s"};
  EXPECT_EQ(wrong({version, id, source}), "ce-type");
  EXPECT_EQ(wrong({id, source, {"ce-type", "t"}}), "ce-specversion");
  EXPECT_EQ(wrong({{"ce-specversion", "0.3"}, id, source, {"ce-type", "t"}}), "ce-specversion");
  EXPECT_EQ(wrong({version, id, source, {"ce-type", ""}}), "ce-type");
  EXPECT_EQ(wrong({version, id, id, source, {"ce-type", "t"}}), "ce-id");
  EXPECT_EQ(wrong({version, id, source, {"ce-type", "%ff"}}), "ce-type");
  EXPECT_EQ(wrong({version, id, source, {"ce-type", "%f"}}), "ce-type");
  EXPECT_EQ(wrong({version, id, source, {"ce-type", "t"}, {"ce-a_b", "t"}}), "ce-a_b");
}

}  // namespace
}  // namespace dhub::api
