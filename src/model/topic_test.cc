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
