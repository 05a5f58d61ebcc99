// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tests/conformance/harness.h"

namespace dhub::conformance {

class RunArchiveConformance : public Suite {
 protected:
  static AttemptDetail attempt(std::int64_t offset, std::int32_t number, OutcomeKind kind = OutcomeKind::Succeeded) {
    AttemptDetail detail;
    detail.position = PositionUid{1};
    detail.run = {Pass{1}, PartitionId{0}, Offset{offset}};
    detail.attempt = number;
    detail.delivery = make_delivery_id(OwnerEpoch{3}, 7);
    detail.kind = kind;
    detail.version = Version{2};
    detail.instance = InstanceId{5};
    detail.started_at = WallTime{1};
    detail.duration_us = 12;
    detail.step = "enrich";
    detail.error = "ValueError: offset " + std::to_string(offset);
    detail.trace = "trace";
    detail.log = "log";
    detail.key = std::string("k\0y", 3);
    return detail;
  }
  void keep(std::vector<AttemptDetail> attempts) {
    for (auto& detail : attempts)
      if (detail.started_at == WallTime{1}) detail.started_at = WallTime{1790000000000};
    archive().append(std::move(attempts));
    archive().flush();
  }
  std::vector<std::int64_t> offsets(const RunFilter& filter, std::vector<PositionUid> positions = {PositionUid{1}}) {
    std::vector<std::int64_t> found;
    const auto attempts = archive().attempts(positions, filter);
    EXPECT_TRUE(attempts) << (attempts ? "" : attempts.error().message);
    if (!attempts) return found;
    for (const auto& archived : *attempts) found.push_back(archived.detail.run.offset.value);
    return found;
  }
  using Offsets = std::vector<std::int64_t>;
};

TEST_P(RunArchiveConformance, AnAttemptIsKeptWhole) {
  keep({attempt(4, 2, OutcomeKind::Failed)});
  const auto found = archive().run(PositionUid{1}, {Pass{1}, PartitionId{0}, Offset{4}});
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1U);
  const AttemptDetail& kept = found->at(0).detail;
  const AttemptDetail given = attempt(4, 2, OutcomeKind::Failed);
  EXPECT_EQ(kept.position, given.position);
  EXPECT_EQ(kept.run, given.run);
  EXPECT_EQ(kept.attempt, 2);
  EXPECT_EQ(kept.delivery, given.delivery);
  EXPECT_EQ(kept.kind, OutcomeKind::Failed);
  EXPECT_EQ(kept.version, given.version);
  EXPECT_EQ(kept.instance, given.instance);
  EXPECT_EQ(kept.duration_us, 12U);
  EXPECT_EQ(kept.step, given.step);
  EXPECT_EQ(kept.error, given.error);
  EXPECT_EQ(kept.trace, given.trace);
  EXPECT_EQ(kept.log, given.log);
  EXPECT_EQ(kept.key, given.key);
}

TEST_P(RunArchiveConformance, TheAttemptsOfARunComeFirstToLast) {
  keep({attempt(4, 1, OutcomeKind::Failed), attempt(5, 1), attempt(4, 2)});
  auto other_pass = attempt(4, 1);
  other_pass.run.pass = Pass{2};
  keep({other_pass});
  const auto found = archive().run(PositionUid{1}, {Pass{1}, PartitionId{0}, Offset{4}});
  ASSERT_EQ(found->size(), 2U);
  EXPECT_EQ(found->at(0).detail.attempt, 1);
  EXPECT_EQ(found->at(1).detail.attempt, 2);
}

TEST_P(RunArchiveConformance, AttemptsComeNewestFirstInPages) {
  keep({attempt(1, 1), attempt(2, 1), attempt(3, 1)});
  RunFilter filter;
  filter.limit = 2;
  EXPECT_EQ(offsets(filter), (Offsets{3, 2}));
  filter.before = archive().attempts({PositionUid{1}}, filter)->at(1).sequence;
  EXPECT_EQ(offsets(filter), (Offsets{1}));
}

TEST_P(RunArchiveConformance, EveryFilterFilters) {
  auto keyed = attempt(2, 1, OutcomeKind::Failed);
  keyed.key = "other";
  auto elsewhere = attempt(3, 1);
  elsewhere.run.partition = PartitionId{1};
  keep({attempt(1, 1), keyed, elsewhere});
  RunFilter filter;
  filter.kind = OutcomeKind::Failed;
  EXPECT_EQ(offsets(filter), (Offsets{2}));
  filter = {};
  filter.key = std::string("k\0y", 3);
  EXPECT_EQ(offsets(filter), (Offsets{3, 1}));
  filter = {};
  filter.error_text = "offset 1";
  EXPECT_EQ(offsets(filter), (Offsets{1}));
  filter.error_text = "OFFSET 1";
  EXPECT_EQ(offsets(filter), Offsets{});
  filter = {};
  filter.partition = PartitionId{1};
  EXPECT_EQ(offsets(filter), (Offsets{3}));
  filter = {};
  filter.offset = Offset{2};
  EXPECT_EQ(offsets(filter), (Offsets{2}));
}

TEST_P(RunArchiveConformance, OnlyTheGivenPositionsAreAsked) {
  auto other = attempt(9, 1);
  other.position = PositionUid{2};
  keep({attempt(1, 1), other});
  EXPECT_EQ(offsets({}), (Offsets{1}));
  EXPECT_EQ(offsets({}, {PositionUid{1}, PositionUid{2}}), (Offsets{9, 1}));
  EXPECT_EQ(offsets({}, {}), Offsets{});
}

TEST_P(RunArchiveConformance, AttemptsAreThereAfterReopening) {
  keep({attempt(1, 1)});
  harness().reopen();
  EXPECT_EQ(offsets({}), (Offsets{1}));
}

}  // namespace dhub::conformance
