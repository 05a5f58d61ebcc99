// SPDX-License-Identifier: Apache-2.0
#include "cli/documents.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <string>

#include "cli/json_text.h"

namespace dhub::cli {
namespace {

namespace json = boost::json;

// The one document of a text, as compact JSON, or the error.
std::string read(const std::string& text) {
  const auto documents = parse_documents(text, "file");
  if (!documents) return "error: " + documents.error().message;
  if (documents->size() != 1) return std::to_string(documents->size()) + " documents";
  return json::serialize(documents->front().value);
}

TEST(Documents, YamlReadsAsJson) {
  EXPECT_EQ(read("id: orders\noptions:\n  event: t\nsteps:\n- name: a\n  script: |\n    x\n    y\n"),
            R"({"id":"orders","options":{"event":"t"},"steps":[{"name":"a","script":"x\ny\n"}]})");
}

TEST(Documents, APlainScalarIsANumberExactlyWhenJsonSaysSo) {
  EXPECT_EQ(read("[1, -2, 1.5, 1e3]"), "[1,-2,1.5E0,1E3]");
  EXPECT_EQ(read("a: [01, 0x1f, 0777, +1, .5, 1_000, 1:30, 1e, .inf]"),
            R"({"a":["01","0x1f","0777","+1",".5","1_000","1:30","1e",".inf"]})");
}

TEST(Documents, NumbersAreWrittenAsTheyAreRead) {
  for (const char* text : {"1.5", "3.0", "-0.0", "1e+300", "9007199254740993", "-7"})
    EXPECT_EQ(to_compact_json(parse_documents(text, "f")->front().value), text);
  EXPECT_EQ(read("a: 1e400"), R"({"a":"1e400"})") << "no number that is known here";
}

TEST(Documents, NumbersOfManyDigitsAreTheNearestDoublesInYamlAndJson) {
  const double nearest = -555555555000000000000000000000000000000000000005580460338270641263.0;
  const std::string text = "-555555555000000000000000000000000000000000000005580460338270641263.0";
  EXPECT_EQ(parse_documents(text, "f")->front().value.get_double(), nearest);
  const auto json = parse_documents(R"({"a": [1, 0.5, {"b": )" + text + R"(}], "c": 123456789012345678901.1})", "f");
  EXPECT_EQ(json->front().value.at("a").at(1).get_double(), 0.5);
  EXPECT_EQ(json->front().value.at("a").at(2).at("b").get_double(), nearest);
  EXPECT_EQ(json->front().value.at("c").get_double(), 123456789012345678901.1);
}

TEST(Documents, WordsThatOldYamlTookForBooleansStayText) {
  EXPECT_EQ(read("a: [no, on, off, yes, y, NO]"), R"({"a":["no","on","off","yes","y","NO"]})");
  EXPECT_EQ(read("on: 1\nno: 2"), R"({"on":1,"no":2})");
  EXPECT_EQ(read("a: [true, False, ~, null, ]"), R"({"a":[true,false,null,null]})");
  EXPECT_EQ(read("a:\nb: ''"), R"({"a":null,"b":""})");
}

TEST(Documents, QuotesAndTheStringTagMakeText) {
  EXPECT_EQ(read("a: ['1', \"true\", !!str 5]"), R"({"a":["1","true","5"]})");
}

TEST(Documents, RefusesWhatHasNoPlaceInADefinition) {
  EXPECT_EQ(read("a: 1\nb: 2\na: 3"), "error: file:3:1: the key 'a' stands here twice");
  EXPECT_EQ(read("x: {a: 1, a: 2}"), "error: file:1:11: the key 'a' stands here twice");
  EXPECT_EQ(read("x: !!python/object:os.system 1"),
            "error: file:1:4: the tag tag:yaml.org,2002:python/object:os.system is not supported; only !!str is");
  EXPECT_EQ(read("b: &b {x: 1}\na:\n  <<: *b"),
            "error: file:3:3: merge keys (<<) are not supported; write the fields out");
  EXPECT_EQ(read("x: !!python/object {a: 1}").substr(0, 19), "error: file:1:4: th");
  EXPECT_EQ(read("~: 1").substr(0, 29), "error: file:1:1: a key must b");
  EXPECT_EQ(read("? [a]\n: 1"), "error: file:1:3: a key must be a plain word or a string");
  EXPECT_EQ(read("a: *nothing").substr(0, 14), "error: file:1:");
  EXPECT_EQ(read("a: [1\nb: 2").substr(0, 14), "error: file:2:");
  EXPECT_EQ(read("a: \xff"), "error: file is not UTF-8 text");
  EXPECT_EQ(read(std::string("a\0:\0 \0b\0", 8)), "error: file is not UTF-8 text");
}

TEST(Documents, AliasesAreCopiesWithinABound) {
  EXPECT_EQ(read("a: &x [1]\nb: *x"), R"({"a":[1],"b":[1]})");
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 10; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) bomb += (k > 0 ? ",*a" : "*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  EXPECT_NE(read(bomb).find("with its aliases expanded this is more than 100000 values"), std::string::npos);
  EXPECT_EQ(read("&a [*a]"), "error: file:1:5: an alias cannot stand inside of what it names");
}

TEST(Documents, AliasesOfLargeTextAreBoundedByBytes) {
  std::string bomb = "a: &a " + std::string(1 << 20, 'x') + "\nb: [";
  for (int i = 0; i < 100; ++i) bomb += "*a, ";
  EXPECT_NE(read(bomb + "]").find("16777216 bytes"), std::string::npos);
}

TEST(Documents, DeepNestingIsRefusedNotACrash) {
  for (const std::string open : {"[", "{a: ", "- "}) {
    std::string deep;
    for (int i = 0; i < 50'000; ++i) deep += open;
    EXPECT_EQ(read(deep).substr(0, 6), "error:");
  }
  EXPECT_EQ(read(std::string(200, '[') + std::string(200, ']')).substr(0, 6), "error:");
}

TEST(Documents, TooLargeIsRefused) {
  EXPECT_EQ(read(std::string((8 << 20) + 1, ' ')), "error: file is larger than 8388608 bytes");
}

TEST(Documents, AStrayBracketEndsTheReading) {
  for (const char* text : {",", "]", "}", "a: 1\n}", ", {c: d}", "a\n---\n,"})
    EXPECT_EQ(read(text).substr(0, 11), "error: file") << text;
}

TEST(Documents, SeveralYamlDocumentsAndEmptyOnes) {
  EXPECT_EQ(read("---\na: 1\n---\n---\nb: 2\n...\n"), "2 documents");
  EXPECT_EQ(read(""), "0 documents");
  EXPECT_EQ(read("# only a comment\n"), "0 documents");
}

TEST(Documents, JsonIsReadStrictly) {
  EXPECT_EQ(read(R"({"a": "\ud83d\ude00 \/"})"), "{\"a\":\"\xf0\x9f\x98\x80 /\"}");
  EXPECT_EQ(read("{\"a\": 1,\n \"a\": 2}"), "error: file:2:4: the key 'a' stands here twice");
  EXPECT_EQ(read("{\"a\": {\"b\": 1, \"b\": 2}, \"b\": 3}").substr(0, 13), "error: file:1");
  EXPECT_EQ(read(R"({"a": {"b": 1}, "c": {"b": 1}})"), R"({"a":{"b":1},"c":{"b":1}})");
  EXPECT_EQ(read("{\"a\": 1}\n{\"b\": 2}"), "2 documents") << "as jq prints them";
  EXPECT_EQ(read("{\"a\": 1").substr(0, 12), "error: file:");
  EXPECT_EQ(read("{a: b}"), R"({"a":"b"})") << "a flow mapping of YAML";
}

TEST(Documents, ErrorsCanBeFoundInTheFile) {
  const auto documents =
      parse_documents("id: a\nsteps:\n  - name: x\n    script: |\n      y\noptions: {event: t}\n", "f");
  ASSERT_TRUE(documents);
  const Document& document = documents->front();
  EXPECT_EQ(line_of(document, "/steps/0/script"), 4);
  EXPECT_EQ(line_of(document, "/steps/0/missing"), 3);
  EXPECT_EQ(line_of(document, "/options/event"), 6);
  EXPECT_EQ(line_of(document, ""), 1);
}

TEST(Documents, YamlThatIsWrittenIsReadable) {
  const json::value value = json::parse(
      R"({"id":"orders","options":{},"steps":[{"name":"a","script":"def f():\n  return 1\n"},[],[1,[2]]],"no":"no",)"
      R"("t":"1","e":"","n":null,"x":"a: b"})");
  EXPECT_EQ(to_yaml(value),
            "id: orders\n"
            "options: {}\n"
            "steps:\n"
            "  - name: a\n"
            "    script: |\n"
            "      def f():\n"
            "        return 1\n"
            "  - []\n"
            "  - - 1\n"
            "    - - 2\n"
            "\"no\": \"no\"\n"
            "t: \"1\"\n"
            "e: \"\"\n"
            "\"n\": null\n"
            "x: \"a: b\"\n");
}

TEST(Documents, JsonIsIndentedAndItsNumbersStay) {
  EXPECT_EQ(indent_json(R"({"a":[1,{"b":{}}],"c":[],"d":"x:[,\"]","n":123456789012345678901234567890.10})"),
            "{\n"
            "  \"a\": [\n"
            "    1,\n"
            "    {\n"
            "      \"b\": {}\n"
            "    }\n"
            "  ],\n"
            "  \"c\": [],\n"
            "  \"d\": \"x:[,\\\"]\",\n"
            "  \"n\": 123456789012345678901234567890.10\n"
            "}\n");
  EXPECT_EQ(to_compact_json(json::parse(R"({"a": 1.5, "b": 0.1, "c": 3, "d": [true, null]})")),
            R"({"a":1.5,"b":0.1,"c":3,"d":[true,null]})");
}

TEST(Documents, LongKeysAreReadableAsWell) {
  const std::string key(2000, 'k');
  const json::value value = json::parse("[{\"" + key + "\": {\"" + key + "\": [1]}, \"b\": 2}]");
  EXPECT_EQ(read(to_yaml(value)), json::serialize(value));
}

TEST(Documents, OutputCannotDriveATerminal) {
  const json::value value = json::object{{"a", "x\x1b[2J\xc2\x9b\xe2\x80\xae\ny"}};
  for (const std::string& text : {to_json(value), to_yaml(value)}) {
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_EQ(text.find("\xc2\x9b"), std::string::npos);
    EXPECT_EQ(text.find("\xe2\x80\xae"), std::string::npos);
    EXPECT_EQ(read(text), json::serialize(value)) << text;
  }
}

std::string generate_text() {
  static const std::string kAlphabet[] = {"a",  "B",  "0", "1", ".", "-", " ",  "\n", "\t",       "'",
                                          "\"", ":",  "#", "{", "[", "|", "\\", "~",  "\xc3\xa9", "\xe2\x80\xa8",
                                          "e",  "no", "*", "&", "!", "%", ",",  "\r", "\x01",     ": "};
  std::string text;
  for (const int i : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 30))) text += kAlphabet[i];
  return text;
}

json::value generate_value(int depth) {
  switch (*rc::gen::inRange(0, depth > 0 ? 6 : 4)) {
    case 0:
      return *rc::gen::arbitrary<bool>();
    case 1:
      return *rc::gen::arbitrary<std::int64_t>();
    case 2:
    case 3:
      return json::string(generate_text());
    case 4: {
      json::array array;
      for (int n = *rc::gen::inRange(0, 4); n > 0; --n) array.push_back(generate_value(depth - 1));
      return array;
    }
    default: {
      json::object object;
      for (int n = *rc::gen::inRange(0, 4); n > 0; --n) object[generate_text()] = generate_value(depth - 1);
      return object;
    }
  }
}

TEST(Documents, WhatIsWrittenReadsBackAsTheSame) {
  EXPECT_TRUE(rc::check([] {
    const json::value value = json::object{{"value", generate_value(3)}};
    for (const std::string& text : {to_yaml(value), to_json(value)}) RC_ASSERT(read(text) == json::serialize(value));
  }));
}

}  // namespace
}  // namespace dhub::cli
