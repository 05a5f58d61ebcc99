// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ports/event_log.h"
#include "store/sqlite/disk_reserve.h"
#include "store/sqlite/readers.h"
#include "store/sqlite/watches.h"
#include "store/sqlite/writer.h"

namespace dhub::store {

// The embedded topics. Encodes on the caller's thread, appends on the writer's, reads on a borrowed connection.
class TopicLog : public EventLog {
 public:
  TopicLog(Writer& writer, Readers& readers, std::shared_ptr<Watches> watches, DiskReserve reserve)
      : writer_(writer), readers_(readers), watches_(std::move(watches)), reserve_(std::move(reserve)) {}

  Result<Topic> create_topic(const std::string& name, const TopicSettings& settings) override;
  Result<Topic> ensure_topic(const std::string& name) override;
  Result<Topic> update_topic(const std::string& name, const TopicSettings& settings) override;
  Result<Topic> topic(const std::string& name) const override;
  Result<Topic> topic(TopicUid uid) const override;
  Result<std::vector<Topic>> topics(const std::string& after, std::size_t limit) const override;
  Status delete_topic(const std::string& name) override;
  void publish(PublishRequest request, PublishDone done) override;
  Result<ReadResult> read(TopicUid topic, PartitionId partition, Offset from, std::size_t max_bytes) const override;
  [[nodiscard]] std::unique_ptr<TopicReader> open_reader(TopicUid topic, OnNews on_news) override;
  void note_cursors(TopicUid, const std::string&, const std::vector<StartOffset>&) override {}
  Result<std::vector<StartOffset>> group_offsets(TopicUid topic, const std::string& group) const override;

 private:
  struct Publish;  // one request on its way
  class Reader;
  Result<std::vector<Placement>> append(WriteContext& context, const Publish& publish);

  Writer& writer_;
  Readers& readers_;
  std::shared_ptr<Watches> watches_;  // shared with the handles, which may outlive us
  DiskReserve reserve_;               // writer's thread
};

}  // namespace dhub::store
