// SPDX-License-Identifier: Apache-2.0
#include "delivery/headers.h"

#include <gtest/gtest.h>

#include "model/message.h"

namespace dhub::delivery {
namespace {

std::uint16_t hops(const std::vector<Header>& headers) {
  return hops_of(encode_headers(headers));
}

TEST(Hops, AreReadFromTheirHeader) {
  EXPECT_EQ(hops({{"a", "1"}, {kHopsHeader, "17"}, {"b", std::nullopt}}), 17);
}

TEST(Hops, AreNoneWithoutIt) {
  EXPECT_EQ(hops({}), 0);
  EXPECT_EQ(hops({{"a", std::nullopt}, {"value", kHopsHeader}}), 0) << "a value is not a name";
}

TEST(Hops, HeadersWithNullValuesBeforeItAreWalkedOver) {
  EXPECT_EQ(hops({{"null", std::nullopt}, {"", ""}, {kHopsHeader, "3"}}), 3);
}

TEST(Hops, WhatIsNoNumberIsNone) {
  for (const char* text : {"", "x", "-1", "1x", " 1"}) EXPECT_EQ(hops({{kHopsHeader, text}}), 0) << text;
  EXPECT_EQ(hops({{kHopsHeader, std::nullopt}}), 0);
}

TEST(Hops, NumberTooLargeIsTheLargest) {
  EXPECT_EQ(hops({{kHopsHeader, "65536"}}), 65535) << "as none, a chain would begin anew";
}

TEST(Hops, DamagedBlockIsNone) {
  const std::string block = encode_headers({{"a", "1"}, {kHopsHeader, "17"}});
  for (std::size_t length = 0; length < block.size(); ++length)
    EXPECT_EQ(hops_of(std::string_view(block).substr(0, length)), 0) << length;
}

std::vector<Header> passed_on(const std::vector<Header>& from, std::vector<Header> to = {}) {
  pass_trace_on(encode_headers(from), to);
  return to;
}

TEST(Trace, ContextIsPassedOnAndNothingElse) {
  EXPECT_EQ(
      passed_on({{"a", "1"}, {"traceparent", "00-1"}, {"tracestate", "x=1"}, {"b", std::nullopt}}, {{"own", "2"}}),
      (std::vector<Header>{{"own", "2"}, {"traceparent", "00-1"}, {"tracestate", "x=1"}}));
  EXPECT_TRUE(passed_on({}).empty());
}

TEST(Trace, ContextOfItsOwnIsKept) {
  EXPECT_EQ(passed_on({{"traceparent", "00-1"}, {"tracestate", "x=1"}}, {{"traceparent", "00-2"}}),
            (std::vector<Header>{{"traceparent", "00-2"}}));
}

}  // namespace
}  // namespace dhub::delivery
