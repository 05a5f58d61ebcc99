// SPDX-License-Identifier: Apache-2.0
#include "model/topic.h"

#include <gtest/gtest.h>

namespace dhub {
namespace {

TEST(Topic, NamesFollowKafkasRule) {
  for (const char* name : {"orders", "a", "A.b_c-9"}) EXPECT_TRUE(validate_topic_name(name)) << name;
  for (const char* name : {"", ".", "..", "a/b", "a b", "../x", "\xc3\xa4", "a\n"})
    EXPECT_FALSE(validate_topic_name(name)) << name;
  EXPECT_FALSE(validate_topic_name(std::string(250, 'a')));
}

// Vectors of Kafka's UtilsTest.testMurmur2: the hash, made positive, modulo a large count.
TEST(Topic, PartitionOfAgreesWithKafkasJavaClient) {
  struct Case {
    const char* key;
    std::int32_t murmur;
  };
  for (const auto& [key, murmur] :
       {Case{"21", -973932308}, Case{"foobar", -790332482}, Case{"a-little-bit-long-string", -985981536},
        Case{"a-little-bit-longer-string", -1486304829},
        Case{"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971}, Case{"abc", 479470107}})
    EXPECT_EQ(partition_of(key, 997).value, (murmur & 0x7fffffff) % 997) << key;
}

std::string bytes_from(int first, int end) {
  std::string bytes;
  for (int byte = first; byte < end; ++byte) bytes.push_back(static_cast<char>(byte));
  return bytes;
}

// Made with org.apache.kafka.common.utils.Utils.murmur2; 3.9.2 and 4.3.1 agree. Java's bytes are signed, so those from
// 0x80 on are where a port goes wrong, in each place of the last word.
TEST(Topic, PartitionOfAgreesWithKafkasJavaClientOnBytes) {
  struct Case {
    std::string key;
    std::int32_t murmur;
  };
  for (const auto& [key, murmur] : {Case{"", 275646681}, Case{bytes_from(0, 1), 375494588}, Case{"\xff", -311467685},
                                    Case{std::string(2, '\0'), 595382058}, Case{std::string(3, '\0'), 1013532917},
                                    Case{std::string(4, '\0'), 850957120}, Case{bytes_from(0x80, 0x81), 857690492},
                                    Case{bytes_from(0x80, 0x82), 1642145146}, Case{bytes_from(0x80, 0x83), -1975640061},
                                    Case{bytes_from(0x80, 0x84), 1420557722}, Case{std::string(5, '\xff'), -363838622},
                                    Case{"k\xc3\xa4se", -1070276755}, Case{bytes_from(128, 256), 872916902},
                                    Case{bytes_from(0, 255), 1542706800}, Case{bytes_from(0, 256), -1948347274}})
    for (const int partitions : {1, 7, 997})
      EXPECT_EQ(partition_of(key, partitions).value, (murmur & 0x7fffffff) % partitions)
          << testing::PrintToString(key) << " of " << partitions;
}

TEST(TopicName, MayNameItsCluster) {
  EXPECT_EQ(parse_topic_name("orders")->cluster, "");
  EXPECT_EQ(parse_topic_name("orders")->topic, "orders");
  EXPECT_EQ(parse_topic_name("main/orders")->cluster, "main");
  EXPECT_EQ(parse_topic_name("main/orders")->topic, "orders");
  for (const char* name :
       {"", "/orders", "main/", "Main/orders", "-a/orders", "a-/orders", "a/b/c", "a b/c", "main/.."})
    EXPECT_FALSE(parse_topic_name(name)) << name;
  EXPECT_FALSE(parse_topic_name(std::string(64, 'a') + "/orders"));
}

}  // namespace
}  // namespace dhub
