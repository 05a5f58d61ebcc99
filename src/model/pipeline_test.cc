// SPDX-License-Identifier: Apache-2.0
#include "model/pipeline.h"

#include <gtest/gtest.h>
#include <string>

namespace dhub {
namespace {

TEST(PipelineId, IsADnsLabel) {
  for (const std::string& id : {std::string("orders"), std::string("a"), std::string("0"),
                                std::string("pipeline-abc123"), std::string("a--b"), std::string(63, 'x')})
    EXPECT_TRUE(validate_pipeline_id(id)) << id;
}

TEST(PipelineId, RefusesEverythingElseAndSaysTheRule) {
  for (const std::string& id : {std::string(), std::string("-a"), std::string("a-"), std::string("A"),
                                std::string("a_b"), std::string("a.b"), std::string("a/b"), std::string("a b"),
                                std::string("\xc3\xa4"), std::string("a\0b", 3), std::string(64, 'x')}) {
    const Status status = validate_pipeline_id(id);
    ASSERT_FALSE(status) << id;
    EXPECT_EQ(status.error().code, ErrorCode::InvalidArgument);
    EXPECT_NE(status.error().message.find("1 to 63 characters"), std::string::npos);
  }
}

TEST(PipelineId, WordsOfTheApiAreReserved) {
  for (const char* id : {"validate", "test"}) {
    const Status status = validate_pipeline_id(id);
    ASSERT_FALSE(status) << id;
    EXPECT_NE(status.error().message.find("reserved"), std::string::npos);
  }
  EXPECT_TRUE(validate_pipeline_id("test-1"));
}

}  // namespace
}  // namespace dhub
