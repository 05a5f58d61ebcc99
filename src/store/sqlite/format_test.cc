// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "base/random.h"
#include "base/test_seed.h"
#include "store/sqlite/batch_format.h"
#include "store/sqlite/crc32c.h"
#include "store/sqlite/ledger.h"

namespace dhub::store {
namespace {

// Vectors of RFC 3720, B.4.
TEST(Crc32c, AgreesWithTheStandardsVectors) {
  std::string rising;
  for (int i = 0; i < 32; ++i) rising += static_cast<char>(i);
  for (const auto& [bytes, expected] :
       {std::pair{std::string("123456789"), 0xe3069283U}, std::pair{std::string(32, '\0'), 0x8a9136aaU},
        std::pair{std::string(32, '\xff'), 0x62a8ab43U}, std::pair{rising, 0x46dd794eU},
        std::pair{std::string(), 0U}}) {
    EXPECT_EQ(crc32c(bytes), expected);
    EXPECT_EQ(crc32c_portable(bytes), expected);
  }
}

TEST(Crc32c, BothWaysOfComputingItAgreeAtEveryLength) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed);
  const std::string bytes = Random(seed).id(300);
  for (std::size_t length = 0; length <= bytes.size(); ++length)
    EXPECT_EQ(crc32c(std::string_view(bytes).substr(0, length)),
              crc32c_portable(std::string_view(bytes).substr(0, length)));
}

class BatchFormat : public testing::Test {
 protected:
  BatchFormat() {
    const auto encoded = encode_messages({{"k", {{"h", "v"}}, "first", WallTime{1}}, {{}, {}, {}, WallTime{2}}});
    batch_.assign(kBatchHeaderBytes, '\0');
    batch_ += encoded->bytes;
    seal_batch(batch_, header_);
  }
  const BatchHeader header_{TopicUid{7}, PartitionId{2}, Offset{100}, 2};
  std::string batch_;
  std::vector<RecordView> records_;
};

TEST_F(BatchFormat, OpensAsItWasSealed) {
  ASSERT_TRUE(open_batch(batch_, header_, records_));
  ASSERT_EQ(records_.size(), 2U);
  EXPECT_EQ(records_[0].offset, Offset{100});
  EXPECT_EQ(records_[0].value, "first");
  EXPECT_EQ(records_[1].offset, Offset{101});
  EXPECT_FALSE(records_[1].value);
}

// The bytes of docs/specs/record-batch.md: a change of the format must be a new format byte.
TEST_F(BatchFormat, IsWhatTheSpecificationSays) {
  EXPECT_EQ(batch_[0], 1);
  EXPECT_EQ(batch_.substr(5, 8), std::string("\x07\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(batch_.substr(13, 4), std::string("\x02\0\0\0", 4));
  EXPECT_EQ(batch_.substr(17, 8), std::string("\x64\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(batch_.substr(25, 4), std::string("\x02\0\0\0", 4));
  std::uint32_t checksum = 0;
  for (int i = 0; i < 4; ++i)
    checksum |= static_cast<std::uint32_t>(static_cast<unsigned char>(batch_[1 + i])) << 8 * i;
  EXPECT_EQ(checksum, crc32c(std::string_view(batch_).substr(5)));
}

TEST_F(BatchFormat, EveryFlippedBitIsFoundOut) {
  for (std::size_t bit = 0; bit < batch_.size() * 8; ++bit) {
    std::string damaged = batch_;
    damaged[bit / 8] ^= static_cast<char>(1U << bit % 8);
    const auto opened = open_batch(damaged, header_, records_);
    ASSERT_FALSE(opened) << bit;
    EXPECT_EQ(opened.error().code, ErrorCode::Corruption);
  }
  EXPECT_TRUE(records_.empty());
}

TEST_F(BatchFormat, EveryTruncationIsFoundOut) {
  for (std::size_t length = 0; length < batch_.size(); ++length)
    EXPECT_FALSE(open_batch(std::string_view(batch_).substr(0, length), header_, records_));
}

TEST_F(BatchFormat, ABatchInAnotherPlaceIsFoundOut) {
  BatchHeader other = header_;
  other.base = Offset{101};
  EXPECT_FALSE(open_batch(batch_, other, records_));
  other = header_;
  other.topic = TopicUid{8};
  EXPECT_FALSE(open_batch(batch_, other, records_));
  other = header_;
  other.partition = PartitionId{0};
  EXPECT_FALSE(open_batch(batch_, other, records_));
  other = header_;
  other.count = 1;
  EXPECT_FALSE(open_batch(batch_, other, records_));
}

TEST(LedgerPage, KeepsFourBitsAnOffsetAndKnowsWhenAllAreTheSame) {
  LedgerPage page;
  EXPECT_EQ(page.uniform(), FinalState::None);
  page.set(0, FinalState::Absent);
  page.set(1, FinalState::Filtered);
  page.set(1023, FinalState::Skipped);
  EXPECT_EQ(page.get(0), FinalState::Absent);
  EXPECT_EQ(page.get(1), FinalState::Filtered);
  EXPECT_EQ(page.get(2), FinalState::None);
  EXPECT_EQ(page.get(1023), FinalState::Skipped);
  EXPECT_EQ(page.bytes().size(), 512U);
  for (std::size_t i = 0; i < 1024; ++i) page.set(i, FinalState::Succeeded);
  EXPECT_EQ(page.uniform(), FinalState::Succeeded);
  page.set(512, FinalState::Filtered);
  EXPECT_EQ(page.uniform(), FinalState::None);
}

TEST(LedgerPage, ARowThatIsNoPageIsCorruption) {
  EXPECT_FALSE(LedgerPage::of_row(0, ""));
  EXPECT_FALSE(LedgerPage::of_row(7, ""));
  EXPECT_FALSE(LedgerPage::of_row(0, std::string(511, '\0')));
  EXPECT_FALSE(LedgerPage::of_row(1, std::string(512, '\0')));
  EXPECT_EQ(LedgerPage::of_row(2, "")->get(1000), FinalState::Filtered);
}

}  // namespace
}  // namespace dhub::store
