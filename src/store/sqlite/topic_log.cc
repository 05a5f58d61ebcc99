// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/topic_log.h"

#include "store/sqlite/batch_format.h"
#include "store/sqlite/batch_reader.h"
#include "store/sqlite/idempotency.h"
#include "store/sqlite/topic_rows.h"

namespace dhub::store {

struct TopicLog::Publish {
  std::string topic;
  std::string key;  // idempotency
  std::string fingerprint;
  bool create = true;
  EncodedMessages messages;
  Status acceptable;  // refused before it reached the writer
  std::vector<Placement> placements;
};

Result<Topic> TopicLog::create_topic(const std::string& name, const TopicSettings& settings) {
  return writer_.call<Topic>(WriteKind::Control, [name, settings](WriteContext& context) {
    return insert_topic(context.db, name, settings, context.now.wall);
  });
}

Result<Topic> TopicLog::ensure_topic(const std::string& name) {
  auto there = topic(name);
  if (there || there.error().code != ErrorCode::NotFound) return there;
  return writer_.call<Topic>(WriteKind::Control, [name](WriteContext& context) -> Result<Topic> {
    auto found = find_topic(context.db, name);
    if (found || found.error().code != ErrorCode::NotFound) return found;
    return insert_topic(context.db, name, TopicSettings{}, context.now.wall);
  });
}

Result<Topic> TopicLog::update_topic(const std::string& name, const TopicSettings& settings) {
  return writer_.call<Topic>(WriteKind::Control, [name, settings](WriteContext& context) {
    return store::update_topic(context.db, name, settings);
  });
}

Result<Topic> TopicLog::topic(const std::string& name) const {
  return with_reader(readers_, [&](Connection& db) { return find_topic(db, name); });
}

Result<Topic> TopicLog::topic(TopicUid uid) const {
  return with_reader(readers_, [&](Connection& db) { return find_topic(db, uid); });
}

Result<std::vector<Topic>> TopicLog::topics(const std::string& after, std::size_t limit) const {
  return with_reader(readers_, [&](Connection& db) { return list_topics(db, after, limit); });
}

Status TopicLog::delete_topic(const std::string& name) {
  return writer_.run(WriteKind::Control, [name](WriteContext& context) -> Status {
    RETURN_IF_ERROR(mark_topic_deleted(context.db, name, context.now.wall));
    context.appender.forget(name);
    return {};
  });
}

void TopicLog::publish(PublishRequest request, PublishDone done) {
  auto publish = std::make_shared<Publish>();  // shared: std::function copies
  publish->acceptable = validate_topic_name(request.topic);
  publish->topic = std::move(request.topic);
  publish->key = std::move(request.idempotency_key);
  publish->create = request.create_topic;
  if (publish->acceptable) {
    if (auto encoded = encode_messages(request.messages); encoded)
      publish->messages = std::move(*encoded);
    else
      publish->acceptable = fail(std::move(encoded.error()));
  }
  if (!publish->key.empty()) publish->fingerprint = fingerprint_of(publish->messages.bytes);

  WriteRequest write;
  write.kind = WriteKind::Publish;
  write.bytes = publish->messages.bytes.size();
  write.apply = [this, publish](WriteContext& context) -> Status {
    auto placements = append(context, *publish);
    if (!placements) return fail(std::move(placements.error()));
    publish->placements = std::move(*placements);
    return {};
  };
  write.answer = [publish, done = std::move(done)](const Status& status) {
    if (status)
      done(std::move(publish->placements));
    else
      done(fail(status.error()));
  };
  writer_.submit(std::move(write));
}

// Checks everything before it stages anything, for a publish has no savepoint.
Result<std::vector<Placement>> TopicLog::append(WriteContext& context, const Publish& publish) {
  RETURN_IF_ERROR(publish.acceptable);
  auto head = context.appender.topic(publish.topic, false, context.now.wall);
  if (!head && (head.error().code != ErrorCode::NotFound || !publish.create)) return fail(std::move(head.error()));
  if (head && !publish.key.empty()) {
    ASSIGN_OR_RETURN(auto first,
                     recall_key(context.db, (*head)->uid, publish.key, publish.fingerprint, context.now.wall));
    if (first) return std::move(*first);
  }
  RETURN_IF_ERROR(reserve_.check(context.now.mono));
  if (!head) head = context.appender.topic(publish.topic, true, context.now.wall);
  if (!head) return fail(std::move(head.error()));
  auto placements = context.appender.stage(**head, publish.messages, context.now.wall);
  if (publish.key.empty()) return placements;
  if (auto kept =
          remember_key(context.db, {(*head)->uid, publish.key, publish.fingerprint, placements}, context.now.wall);
      !kept) {
    context.lost = true;
    return fail(std::move(kept.error()));
  }
  return placements;
}

Result<ReadResult> TopicLog::read(TopicUid topic, PartitionId partition, Offset from, std::size_t max_bytes) const {
  return with_reader(readers_, [&](Connection& db) { return read_records(db, {topic, partition, from, max_bytes}); });
}

// The log is at hand, so there is nothing to fetch ahead.
class TopicLog::Reader : public TopicReader {
 public:
  Reader(const TopicLog& log, TopicUid topic, std::unique_ptr<Watches::Watch> watch)
      : log_(log), topic_(topic), watch_(std::move(watch)) {}
  Result<ReadResult> read(PartitionId partition, Offset from, std::size_t max_bytes) override {
    return log_.read(topic_, partition, from, max_bytes);
  }

 private:
  const TopicLog& log_;
  const TopicUid topic_;
  const std::unique_ptr<Watches::Watch> watch_;
};

std::unique_ptr<TopicReader> TopicLog::open_reader(TopicUid topic, OnNews on_news) {
  return std::make_unique<Reader>(*this, topic, watches_->add(topic, std::move(on_news)));
}

Result<std::vector<StartOffset>> TopicLog::group_offsets(TopicUid, const std::string&) const {
  return fail(ErrorCode::InvalidArgument,
              "A topic of the embedded log has no consumer groups; start without `group`, the position is kept here.");
}

}  // namespace dhub::store
