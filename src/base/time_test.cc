// SPDX-License-Identifier: Apache-2.0
#include "base/time.h"

#include <gtest/gtest.h>

namespace dhub {
namespace {

using namespace std::chrono_literals;

TEST(Time, Rfc3339RoundTrips) {
  const auto parsed = parse_rfc3339("2026-11-23T10:20:30.123Z");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(to_rfc3339(*parsed), "2026-11-23T10:20:30.123Z");
}

TEST(Time, Rfc3339HonoursTheOffset) {
  EXPECT_EQ(parse_rfc3339("2026-11-23T11:20:30+01:00")->ms, parse_rfc3339("2026-11-23T10:20:30Z")->ms);
}

TEST(Time, Rfc3339RefusesWhatIsNoTime) {
  for (const char* text : {"", "now", "2026-11-23", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
                           "2026-11-23T10:20:30", "2026-11-23T10:20:30.Z", "2026-11-23T10:20:30Zjunk"})
    EXPECT_FALSE(parse_rfc3339(text)) << text;
}

TEST(Time, DurationsHaveUnits) {
  EXPECT_EQ(*parse_duration("1m30s"), 90s);
  EXPECT_EQ(*parse_duration("200ms"), 200ms);
  EXPECT_EQ(*parse_duration("1.5s"), 1500ms);
  EXPECT_EQ(*parse_duration("0s"), 0s);
  for (const char* text : {"", "5", "s", "-1s", "1x", "1s2", "99999999999d"})
    EXPECT_FALSE(parse_duration(text)) << text;
}

TEST(Time, DurationsPrintAsTheyAreRead) {
  for (const char* text : {"1m30s", "200ms", "0s", "1d", "1s500ms"}) EXPECT_EQ(to_string(*parse_duration(text)), text);
}

TEST(Time, SizesHaveUnits) {
  EXPECT_EQ(*parse_size("64MiB"), 64u << 20);
  EXPECT_EQ(*parse_size("10kB"), 10000u);
  EXPECT_EQ(*parse_size("512"), 512u);
  for (const char* text : {"", "MiB", "-1", "1 MiB", "1mib"}) EXPECT_FALSE(parse_size(text)) << text;
  EXPECT_EQ(size_to_string(64u << 20), "64MiB");
}

}  // namespace
}  // namespace dhub
