// SPDX-License-Identifier: Apache-2.0
#include "pipeline/json.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace dhub::pipeline {
namespace {

// What it prints, or the error.
std::string printed(std::string_view text) {
  const auto result = canonical_json(text);
  return result ? *result : result.error().message;
}

TEST(CanonicalJson, TheSameContentPrintsTheSame) {
  const std::string canonical = "{\"a\":\"\xc3\xa4\",\"b\":[1,{\"x\":true,\"y\":null}]}";
  EXPECT_EQ(printed(R"({"b":[1,{"y":null,"x":true}],"a":"\u00e4"})"), canonical);
  EXPECT_EQ(printed(" { \"a\" : \"\xc3\xa4\", \"b\":\n[1.0, {\"x\":true, \"y\":null}] } "), canonical);
  EXPECT_EQ(printed(canonical), canonical);
}

TEST(CanonicalJson, NumbersAreShort) {
  EXPECT_EQ(printed("[1.50, 10.0, 0.1, -3, 1e2, 18446744073709551615]"), "[1.5,10,0.1,-3,100,18446744073709551615]");
}

TEST(CanonicalJson, ANumberOfManyDigitsIsTheNearestDoubleAndStaysIt) {
  EXPECT_EQ(printed("123456789012345678901.1"), "1.2345678901234568e+20");
  EXPECT_EQ(printed("[5555555550000000000000000000.5580460338270641263]"),
            printed(printed("[5555555550000000000000000000.5580460338270641263]")));
  EXPECT_EQ(printed("[1e-999, 2.2250738585072011e-308]"), "[0,2.225073858507201e-308]");
}

TEST(CanonicalJson, AZeroHasNoSign) {
  EXPECT_EQ(printed("[-0, -0.0, -600e-78801]"), "[0,0,0]");
}

TEST(CanonicalJson, TheOrderOfAListCounts) {
  EXPECT_NE(*canonical_json("[1,2]"), *canonical_json("[2,1]"));
}

TEST(CanonicalJson, RefusesWhatIsNotJson) {
  for (const char* text : {"", "{", "{'a': 1}", "nul", "[1] [2]", "[1e999]", "\"\xff\""}) {
    const auto result = canonical_json(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().code, ErrorCode::Malformed);
  }
  const std::string just_deep_enough = std::string(kDeepestJson, '[') + std::string(kDeepestJson, ']');
  EXPECT_TRUE(canonical_json(just_deep_enough));
  EXPECT_FALSE(canonical_json("[" + just_deep_enough + "]"));
}

}  // namespace
}  // namespace dhub::pipeline
