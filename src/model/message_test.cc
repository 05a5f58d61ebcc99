// SPDX-License-Identifier: Apache-2.0
#include "model/message.h"

#include <gtest/gtest.h>

namespace dhub {
namespace {

TEST(Message, RecordRoundTripsByteExact) {
  const Message message{
      std::string("k\0ey", 4), {{"a", "1"}, {"a", std::nullopt}, {"", ""}}, std::string("\xff\0", 2), WallTime{42}};
  std::string bytes;
  const auto block = encode_headers(message.headers);
  append_record(bytes, view_of(message, block));
  std::string_view rest = bytes;
  const auto record = take_record(rest);
  ASSERT_TRUE(record);
  EXPECT_TRUE(rest.empty());
  EXPECT_EQ(*to_message(*record), message);
}

TEST(Message, NoKeyAndNoValueDifferFromEmptyOnes) {
  for (const auto& message : {Message{{}, {}, {}, {}}, Message{"", {}, "", {}}}) {
    std::string bytes;
    append_record(bytes, view_of(message, ""));
    std::string_view rest = bytes;
    EXPECT_EQ(*to_message(*take_record(rest)), message);
  }
}

TEST(Message, EveryTruncationIsCorruptionAndNotACrash) {
  std::string bytes;
  const auto block = encode_headers({{"name", "value"}});
  append_record(bytes, view_of(Message{"key", {}, "value", WallTime{1}}, block));
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    std::string_view cut = std::string_view(bytes).substr(0, n);
    EXPECT_FALSE(take_record(cut)) << n;
  }
  for (std::size_t n = 1; n < block.size(); ++n)
    EXPECT_FALSE(decode_headers(std::string_view(block).substr(0, n))) << n;
}

}  // namespace
}  // namespace dhub
