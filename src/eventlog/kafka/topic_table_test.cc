// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/topic_table.h"

#include <gmock/gmock.h>
#include <utility>
#include <vector>

namespace dhub::kafka {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TopicView view_of(std::int64_t uid, std::initializer_list<std::int64_t> ends) {
  TopicView view;
  view.uid = TopicUid{uid};
  view.name = "orders";
  for (const std::int64_t end : ends)
    view.partitions.push_back({PartitionId{static_cast<std::int32_t>(view.partitions.size())}, Offset{0}, Offset{end}});
  return view;
}

Offset end_of(const TopicTable& table, std::int64_t uid, std::size_t partition) {
  return table.find(TopicUid{uid})->partitions.at(partition).end;
}

TEST(TopicTable, WhatWasPublishedOrReadCountsAtOnce) {
  TopicTable table;
  table.put(view_of(1, {5, 9}));
  table.raise_end("orders", PartitionId{1}, Offset{12});
  EXPECT_EQ(end_of(table, 1, 0), Offset{5});
  EXPECT_EQ(end_of(table, 1, 1), Offset{12});
  table.raise_end("orders", PartitionId{1}, Offset{11});
  EXPECT_EQ(end_of(table, 1, 1), Offset{12});
}

TEST(TopicTable, AnAnswerThatWasAskedForBeforeDoesNotTakeItBack) {
  TopicTable table;
  table.put(view_of(1, {5}));
  table.raise_end("orders", PartitionId{0}, Offset{7});
  table.put(view_of(1, {6}));
  EXPECT_EQ(end_of(table, 1, 0), Offset{7});
}

TEST(TopicTable, ALogThatBecameShorterIsSeenByTheNextInspection) {
  TopicTable table;
  table.put(view_of(1, {5}));
  table.raise_end("orders", PartitionId{0}, Offset{7});
  table.put(view_of(1, {6}));
  table.put(view_of(1, {6}));
  EXPECT_EQ(end_of(table, 1, 0), Offset{6});
}

TEST(TopicTable, OnlyTheTopicThatHasTheNameNowIsRaised) {
  TopicTable table;
  table.put(view_of(1, {5}));
  table.put(view_of(2, {0}));
  table.raise_end("orders", PartitionId{0}, Offset{3});
  table.raise_end("orders", PartitionId{4}, Offset{3});
  table.raise_end("unknown", PartitionId{0}, Offset{3});
  EXPECT_EQ(end_of(table, 1, 0), Offset{5});
  EXPECT_EQ(end_of(table, 2, 0), Offset{3});
}

TEST(TopicTable, ListenersHearOfEachInspectionThatBringsNews) {
  TopicTable table;
  int heard = 0;
  table.add_listener(TopicUid{1}, [&heard](auto) { ++heard; });
  table.put(view_of(1, {5}));
  EXPECT_EQ(heard, 1);
  table.put(view_of(1, {5}));
  EXPECT_EQ(heard, 1);
  table.put(view_of(1, {8}));
  EXPECT_EQ(heard, 2);
  table.put(view_of(1, {8, 0}));
  EXPECT_EQ(heard, 3);
  table.set_error(TopicUid{1}, Error{ErrorCode::Unavailable, "away"}, 1);
  table.set_error(TopicUid{1}, Error{ErrorCode::Unavailable, "still away"}, 2);
  EXPECT_EQ(heard, 4);
  table.put(view_of(1, {8, 0}));
  EXPECT_EQ(heard, 5);
  // Raised in between: those who do not read it hear how far behind they are.
  table.raise_end("orders", PartitionId{0}, Offset{9});
  EXPECT_EQ(heard, 5);
  table.put(view_of(1, {9, 0}));
  EXPECT_EQ(heard, 6);
}

TEST(TopicTable, ListenersHearWhichPartitionsHaveAnotherEnd) {
  TopicTable table;
  std::vector<std::optional<PartitionId>> heard;
  const auto hears = [&heard] { return std::exchange(heard, {}); };
  table.add_listener(TopicUid{1}, [&heard](std::optional<PartitionId> partition) { heard.push_back(partition); });
  table.put(view_of(1, {5, 5, 5, 5}));
  EXPECT_THAT(hears(), ElementsAre(std::nullopt));
  table.put(view_of(1, {5, 6, 5, 4}));
  EXPECT_THAT(hears(), ElementsAre(PartitionId{1}, PartitionId{3}));
  table.raise_end("orders", PartitionId{2}, Offset{9});
  table.put(view_of(1, {5, 6, 7, 4}));
  EXPECT_THAT(hears(), ElementsAre(PartitionId{2}));
  EXPECT_EQ(end_of(table, 1, 2), Offset{9});
  table.put(view_of(1, {5, 6, 9, 4}));
  EXPECT_THAT(hears(), IsEmpty());
  table.put(view_of(1, {5, 6, 9, 4, 0}));
  EXPECT_THAT(hears(), ElementsAre(std::nullopt)) << "there are more of them";
  table.set_error(TopicUid{1}, Error{ErrorCode::Unavailable, "away"}, 1);
  EXPECT_THAT(hears(), ElementsAre(std::nullopt));
  table.notify(TopicUid{1}, PartitionId{3});
  EXPECT_THAT(hears(), ElementsAre(PartitionId{3}));
}

TEST(TopicTable, OnePartitionIsFoundWithoutTheOthers) {
  TopicTable table;
  std::optional<PartitionRange> range;
  EXPECT_FALSE(table.standing(TopicUid{1}, PartitionId{0}, range));
  table.put(view_of(1, {5, 9}));
  const auto standing = table.standing(TopicUid{1}, PartitionId{1}, range);
  ASSERT_TRUE(standing);
  EXPECT_EQ(standing->name, "orders");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->end, Offset{9});
  for (const std::int32_t none : {-1, 2}) {
    range.reset();
    EXPECT_TRUE(table.standing(TopicUid{1}, PartitionId{none}, range));
    EXPECT_FALSE(range) << none;
  }
  EXPECT_EQ(table.standing("orders")->uid, TopicUid{1});
}

TEST(TopicTable, AnErrorStaysUntilALaterRoundFindsTheTopicInOrder) {
  TopicTable table;
  const auto seen_in = [](std::uint64_t round) {
    TopicView view = view_of(1, {5});
    view.round = round;
    return view;
  };
  table.put(seen_in(3));
  table.set_error(TopicUid{1}, Error{ErrorCode::Conflict, "another topic"}, 4);
  table.put(seen_in(4));  // had begun before
  EXPECT_TRUE(table.find(TopicUid{1})->error);
  table.put(seen_in(5));
  EXPECT_FALSE(table.find(TopicUid{1})->error);
}

}  // namespace
}  // namespace dhub::kafka
