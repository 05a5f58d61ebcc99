// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/topic_registry.h"

#include <fmt/format.h>
#include <optional>

#include "model/topic.h"

namespace dhub::store {
namespace {

Status check(const ForeignTopic& topic) {
  if (topic.cluster.empty() || topic.cluster == kEmbeddedCluster)
    return fail(ErrorCode::InvalidArgument, "A topic of the embedded log needs no entry: it has a uid already.");
  RETURN_IF_ERROR(parse_topic_name(topic.cluster + "/" + topic.name));
  return {};
}

Result<std::optional<TopicUid>> find(Connection& db, const ForeignTopic& topic) {
  Query row =
      db.query("SELECT uid FROM topics WHERE namespace=0 AND cluster=? AND name=? AND identity=? AND cluster<>''",
               topic.cluster, topic.name, topic.identity);
  if (row.next()) return TopicUid{row.integer(0)};
  RETURN_IF_ERROR(row.status());
  return std::nullopt;
}

Result<TopicUid> find_or_insert(Connection& db, const ForeignTopic& topic, WallTime now) {
  ASSIGN_OR_RETURN(const auto there, find(db, topic));
  if (there) return *there;
  RETURN_IF_ERROR(
      db.run("INSERT INTO topics (name, partitions, retention_age_ns, retention_bytes, created_ms, cluster, identity) "
             "VALUES (?,0,0,0,?,?,?)",
             topic.name, now.ms, topic.cluster, topic.identity));
  return TopicUid{db.last_rowid()};
}

}  // namespace

Result<TopicUid> StoreTopicRegistry::enlist(const std::string& cluster, const std::string& name,
                                            const std::string& identity) {
  const ForeignTopic topic{{}, cluster, name, identity};
  RETURN_IF_ERROR(check(topic));
  ASSIGN_OR_RETURN(const auto there, with_reader(readers_, [&](Connection& db) { return find(db, topic); }));
  if (there) return *there;
  return writer_.call<TopicUid>(WriteKind::Control, [topic](WriteContext& context) {
    return find_or_insert(context.db, topic, context.now.wall);
  });
}

Result<ForeignTopic> StoreTopicRegistry::foreign_topic(TopicUid uid) const {
  return with_reader(readers_, [&](Connection& db) { return find_foreign_topic(db, uid); });
}

Result<ForeignTopic> find_foreign_topic(Connection& db, TopicUid uid) {
  Query row = db.query("SELECT cluster, name, identity FROM topics WHERE uid=? AND cluster<>''", uid);
  if (row.next())
    return ForeignTopic{uid, std::string(row.text(0)), std::string(row.text(1)), std::string(row.text(2))};
  RETURN_IF_ERROR(row.status());
  return fail(ErrorCode::NotFound, fmt::format("There is no topic of another cluster with uid {}.", uid));
}

}  // namespace dhub::store
