// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <array>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>
#include <vector>

#include "base/utf8.h"

namespace dhub {
namespace {

const WallTime kAt = *parse_rfc3339("2026-11-23T10:20:30.123Z");

TEST(Log, LogfmtQuotesOnlyWhatNeedsIt) {
  EXPECT_EQ(format_log_line(LogFormat::Logfmt, kAt, LogLevel::Info, "trigger started",
                            {{"pipeline", "orders"}, {"note", "a b"}, {"empty", ""}}),
            "ts=2026-11-23T10:20:30.123Z level=info msg=\"trigger started\" pipeline=orders note=\"a b\" empty=\"\"");
}

TEST(Log, JsonHasTheSameKeys) {
  EXPECT_EQ(format_log_line(LogFormat::Json, kAt, LogLevel::Error, "no \"luck\"", {{"n", "1"}}),
            R"({"ts":"2026-11-23T10:20:30.123Z","level":"error","msg":"no \"luck\"","n":"1"})");
}

TEST(Log, NoValueForgesALineOrDrivesATerminal) {
  const std::string nasty = "a\nlevel=error\r\x1b[2J\xc2\x9b\xff\xe2\x80\xae";
  for (const LogFormat format : {LogFormat::Logfmt, LogFormat::Json}) {
    const std::string line = format_log_line(format, kAt, LogLevel::Warn, nasty, {{"value", nasty}});
    EXPECT_EQ(line.find_first_of("\n\r\x1b"), std::string::npos) << line;
    EXPECT_TRUE(is_utf8(line)) << line;
    EXPECT_NE(line.find(R"(a\nlevel=error\u000d\u001b[2J\u009b\ufffd\u202e)"), std::string::npos) << line;
  }
}

TEST(Log, LongValuesAreCut) {
  const std::string line =
      format_log_line(LogFormat::Logfmt, kAt, LogLevel::Info, "m", {{"v", std::string(100'000, 'x')}});
  EXPECT_LT(line.size(), 1200u);
  EXPECT_EQ(line.substr(line.size() - 6), "xx...\"");
}

TEST(Log, LinesBelowTheLevelAreNotWritten) {
  std::vector<std::string> lines;
  Logger logger(LogFormat::Logfmt, LogLevel::Warn, [&](std::string_view line) {
    lines.emplace_back(line);
    return true;
  });
  logger.info("hidden");
  logger.warn("shown");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("msg=shown"), std::string::npos);
  EXPECT_EQ(lines[0].back(), '\n');
}

TEST(Log, DroppedLinesAreToldWhenWritingWorksAgain) {
  bool works = false;
  std::vector<std::string> lines;
  Logger logger(LogFormat::Logfmt, LogLevel::Info, [&](std::string_view line) {
    if (works) lines.emplace_back(line);
    return works;
  });
  logger.info("one");
  logger.info("two");
  works = true;
  logger.info("three");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NE(lines[0].find("count=2"), std::string::npos) << lines[0];
  EXPECT_NE(lines[1].find("msg=three"), std::string::npos);
  EXPECT_EQ(logger.dropped(), 2u);
}

TEST(Log, AReaderThatDoesNotReadStopsNobody) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  Logger logger(LogFormat::Logfmt, LogLevel::Info, descriptor_sink(ends[1]));
  const std::string large(1000, 'x');
  for (int i = 0; i < 1000; ++i) logger.info(large);  // a pipe holds 64 KiB
  EXPECT_GT(logger.dropped(), 0u);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(Utf8, RefusesWhatIsNotWellFormed) {
  EXPECT_TRUE(is_utf8("h\xc3\xa9llo \xe2\x82\xac \xf0\x9f\x98\x80"));
  for (const char* text : {"\xff", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80"})
    EXPECT_FALSE(is_utf8(text));
}

}  // namespace
}  // namespace dhub
