// SPDX-License-Identifier: Apache-2.0
#include "api/json.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "base/random.h"
#include "base/test_seed.h"

namespace dhub::api {
namespace {

Result<Json> parse(std::string_view text, JsonRules rules = {}) {
  JsonReader reader;
  auto json = reader.parse(text, rules);
  if (json) json->raw = {};  // points into the reader
  return json;
}

TEST(JsonReader, ReadsEveryKindOfValue) {
  const auto json =
      parse(R"( {"s":"a\u00e9\n\ud83d\ude00","n":-1.5e3,"t":true,"f":false,"z":null,"l":[1,[]],"o":{"x":{}}} )");
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(json->find("s")->text, "a\xc3\xa9\n\xf0\x9f\x98\x80");
  EXPECT_EQ(json->find("n")->text, "-1.5e3");
  EXPECT_TRUE(json->find("t")->boolean);
  EXPECT_FALSE(json->find("f")->boolean);
  EXPECT_TRUE(json->find("z")->is(Json::Kind::Null));
  EXPECT_EQ(json->find("l")->items.size(), 2u);
  EXPECT_TRUE(json->find("o")->find("x")->is(Json::Kind::Object));
  EXPECT_EQ(json->find("nothing"), nullptr);
}

TEST(JsonReader, ReadsScalarsAtTheTop) {
  EXPECT_EQ(parse("\"a\"")->text, "a");
  EXPECT_EQ(parse(" 12 ")->text, "12");
  EXPECT_TRUE(parse("true")->boolean);
  EXPECT_TRUE(parse("null")->is(Json::Kind::Null));
}

TEST(JsonReader, KeepsTheTextOfMembersByteForByte) {
  JsonReader reader;
  const auto json = reader.parse("{\"a\" : {\"b\":  1.0 , \"c\" : [ ] } , \"n\": 1e400 , \"s\":\"\\u0041\" }", {});
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(json->find("a")->raw, "{\"b\":  1.0 , \"c\" : [ ] }");
  EXPECT_EQ(json->find("n")->raw, "1e400");
  EXPECT_EQ(json->find("s")->raw, "\"\\u0041\"");
}

TEST(JsonReader, KeepsNumbersThatNoMachineWordHolds) {
  for (const char* number : {"9223372036854775808", "123456789012345678901234567890", "1e400", "-0", "0.1", "1E-400"}) {
    const auto json = parse(number);
    ASSERT_TRUE(json) << number << ": " << json.error().message;
    EXPECT_EQ(json->text, number);
  }
  EXPECT_EQ(parse("[1e400,2]")->items[1].text, "2");
  EXPECT_TRUE(parse("[" + std::string(100'000, '9') + "]"));
}

TEST(JsonReader, RefusesWhatIsNotJson) {
  for (const std::string text : {"",
                                 "  ",
                                 "{",
                                 "}",
                                 "[",
                                 "]",
                                 "[1,]",
                                 "{\"a\":1,}",
                                 "{\"a\"}",
                                 "{a:1}",
                                 "[1 2]",
                                 "1 2",
                                 "1,2",
                                 "1] [2",
                                 "],[",
                                 "nul",
                                 "tru",
                                 "True",
                                 "NaN",
                                 "Infinity",
                                 "01",
                                 "1.",
                                 ".5",
                                 "+1",
                                 "1e",
                                 "-",
                                 "0x1",
                                 "'a'",
                                 "\"a",
                                 "\"\\x\"",
                                 "\"\\u12\"",
                                 "\"\t\"",
                                 "\"\\ud800\"",
                                 "\"\\udc00\\ud800\"",
                                 "\"\xff\"",
                                 "\"\xc0\xaf\"",
                                 "\xef\xbb\xbf{}",
                                 "/**/1",
                                 "[1]//",
                                 "{\"a\":1 \"b\":2}",
                                 "{\"a\"::1}",
                                 "{,}",
                                 "[,1]",
                                 "{} x",
                                 "\"\xed\xa0\x80\""})
    EXPECT_FALSE(parse(text)) << text;
  EXPECT_FALSE(parse(std::string("1\0", 2)));
  EXPECT_FALSE(parse(std::string("\"a\0b\"", 5)));
}

TEST(JsonReader, RefusesKeysThatStandTwice) {
  const auto twice = parse(R"({"a":{"b":1,"\u0062":2}})");
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, ErrorCode::Malformed);
  EXPECT_NE(twice.error().message.find("'b' stands twice"), std::string::npos) << twice.error().message;
  EXPECT_TRUE(parse(R"({"a":{"b":1,"b":2}})", {.unique_key_levels = 1}));
  EXPECT_FALSE(parse(R"({"a":1,"a":2})", {.unique_key_levels = 1}));
}

TEST(JsonReader, BoundsDepthAndNumberOfValues) {
  const auto nested = [](std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  EXPECT_TRUE(parse(nested(64)));
  EXPECT_FALSE(parse(nested(65)));
  EXPECT_FALSE(parse(nested(100'000)));
  EXPECT_FALSE(parse(std::string(100'000, '[')));
  EXPECT_TRUE(parse("[1,2,3]", {.most_values = 3}));
  EXPECT_FALSE(parse("[1,2,3,4]", {.most_values = 3}));
  EXPECT_TRUE(parse("[1,2,3,4]", {.most_values = 3, .keep = false}));
}

TEST(JsonReader, ChecksAnOpaqueMemberAndKeepsItsTextOnly) {
  JsonReader reader;
  const JsonRules rules{.most_values = 2, .opaque_member = "value"};
  const auto json = reader.parse(R"({"value":[1,[2],3,4],"k":1})", rules);
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(json->find("value")->raw, "[1,[2],3,4]");
  EXPECT_TRUE(json->find("value")->items.empty());
  EXPECT_FALSE(reader.parse(R"({"value":[1,,2]})", rules));
  EXPECT_FALSE(reader.parse(R"({"value":{"a":[nul]}})", rules));
}

TEST(JsonReader, SaysWhereTheErrorIs) {
  const auto json = parse("{\n  \"a\": tru\n}");
  ASSERT_FALSE(json);
  EXPECT_NE(json.error().message.find("line 2"), std::string::npos) << json.error().message;
}

bool boost_accepts(std::string_view text) {
  boost::json::parse_options options;
  options.max_depth = 64;
  boost::json::error_code error;
  // Another reader of the same grammar, except that it takes numbers beyond a double, as we do.
  (void)boost::json::parse(text, error, {}, options);
  return !error;
}

TEST(JsonReader, AgreesWithAnotherReaderOnBrokenTexts) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  const std::string good = R"({"a":[1,-2.5e+3,true,false,null,"x\n\u00e9"],"b":{"c":{}, "d":[ ]},"e":"\ud83d\ude00"})";
  const std::string_view alphabet = "{}[],:\"\\0123e.-+tfn \tu\xc3\xa9\xff";
  JsonReader reader;
  int accepted = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = good;
    for (auto edits = 1 + random.below(3); edits > 0; --edits) {
      const auto at = random.below(text.size());
      const char c = alphabet[random.below(alphabet.size())];
      if (random.below(3) == 0)
        text.erase(at, 1 + random.below(4));
      else if (random.below(2) == 0)
        text.insert(at, 1, c);
      else
        text[at] = c;
      if (text.empty()) text = "1";
    }
    const bool ours = reader.parse(text, {.unique_key_levels = 0}).has_value();
    accepted += ours ? 1 : 0;
    ASSERT_EQ(ours, boost_accepts(text)) << text;
  }
  EXPECT_GT(accepted, 100);
}

TEST(JsonWriter, PutsCommasWhereTheyBelong) {
  JsonWriter out;
  out.begin_object().field("a", std::int64_t{1}).key("b").begin_list().number(1).string("x").null().begin_object();
  out.end_object().end_list().field("c", true).key("d").begin_object().end_object().key("e").raw("[2]").end_object();
  EXPECT_EQ(out.take(), R"({"a":1,"b":[1,"x",null,{}],"c":true,"d":{},"e":[2]})");
}

TEST(JsonWriter, WritesAnyBytesAsValidJson) {
  std::string bytes;
  for (int c = 0; c < 256; ++c) bytes += static_cast<char>(c);
  bytes += "\xc3\xa9\xf0\x9f\x98\x80\xed\xa0\x80\"\\";
  const std::string text = JsonWriter().string(bytes).take();
  const auto json = parse(text);
  ASSERT_TRUE(json) << text;
  EXPECT_EQ(json->text.substr(0, 0x80), bytes.substr(0, 0x80));
  EXPECT_NE(json->text.find("\xc3\xa9\xf0\x9f\x98\x80"), std::string::npos);
}

}  // namespace
}  // namespace dhub::api
