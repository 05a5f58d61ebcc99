// SPDX-License-Identifier: Apache-2.0
#include "eventlog/router/topic_router.h"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/suggest.h"

namespace dhub::eventlog {
namespace {

// Stands in for the reader of a topic whose log cannot be told.
class FailedReader : public TopicReader {
 public:
  explicit FailedReader(Error error) : error_(std::move(error)) {}
  Result<ReadResult> read(PartitionId, Offset, std::size_t) override { return fail(error_); }

 private:
  const Error error_;
};

}  // namespace

TopicRouter::TopicRouter(EventLog& embedded, Clusters clusters, std::string default_cluster, TopicRegistry& registry)
    : embedded_(embedded),
      clusters_(std::move(clusters)),
      default_cluster_(default_cluster == kEmbeddedCluster ? std::string() : std::move(default_cluster)),
      registry_(registry) {
  CHECK(default_cluster_.empty() || clusters_.contains(default_cluster_));
}

std::string cluster_of(const std::string& topic, const std::string& default_cluster) {
  const auto name = parse_topic_name(topic);
  if (!name) return {};
  const std::string& cluster = name->cluster.empty() ? default_cluster : name->cluster;
  return cluster == kEmbeddedCluster ? "" : cluster;
}

std::string TopicRouter::cluster_of(const std::string& topic) const {
  return eventlog::cluster_of(topic, default_cluster_);
}

Status TopicRouter::check_cluster(const std::string& topic) const {
  const std::string cluster = cluster_of(topic);
  if (cluster.empty() || clusters_.contains(cluster)) return {};
  return fail(ErrorCode::InvalidArgument, unknown(cluster));
}

std::string TopicRouter::unknown(const std::string& cluster) const {
  std::vector<std::string_view> names{kEmbeddedCluster};
  for (const auto& [name, log] : clusters_) names.emplace_back(name);
  return fmt::format("There is no cluster '{}'; {}", cluster, did_you_mean(cluster, names));
}

bool TopicRouter::is_default(const std::string& cluster) const {
  return cluster == default_cluster_;
}

std::string TopicRouter::prefix(const std::string& cluster) const {
  if (is_default(cluster)) return {};
  return (cluster.empty() ? kEmbeddedCluster : cluster) + '/';
}

Topic TopicRouter::named(Topic topic, const std::string& cluster) const {
  topic.name = prefix(cluster) + topic.name;
  topic.cluster = cluster;
  return topic;
}

Result<Topic> TopicRouter::named(Result<Topic> topic, const std::string& cluster) const {
  if (!topic) return topic;
  return named(std::move(*topic), cluster);
}

Result<TopicRouter::Place> TopicRouter::find(const std::string& name) const {
  ASSIGN_OR_RETURN(const TopicName parsed, parse_topic_name(name));
  const std::string cluster = cluster_of(name);
  if (cluster.empty()) return Place{{&embedded_, {}}, parsed.topic};
  if (const auto found = clusters_.find(cluster); found != clusters_.end())
    return Place{{found->second, cluster}, parsed.topic};
  return fail(ErrorCode::NotFound, unknown(cluster));
}

Result<TopicRouter::Home> TopicRouter::find(TopicUid uid) const {
  const auto known = homes_.with([&](const auto& homes) -> std::optional<Home> {
    const auto found = homes.find(uid);
    return found == homes.end() ? std::nullopt : std::optional(found->second);
  });
  return known ? *known : look_up(uid);
}

Result<TopicRouter::Home> TopicRouter::look_up(TopicUid uid) const {
  const auto foreign = registry_.foreign_topic(uid);
  if (!foreign && foreign.error().code != ErrorCode::NotFound) return fail(foreign.error());
  Home home{&embedded_, {}};
  if (foreign) {
    const auto found = clusters_.find(foreign->cluster);
    if (found == clusters_.end())
      return fail(ErrorCode::Unavailable,
                  fmt::format("Topic '{}' is of the cluster '{}', which is not configured; configure it again.",
                              foreign->name, foreign->cluster));
    home = {found->second, foreign->cluster};
  } else if (!embedded_.topic(uid)) {
    // Nobody's yet, or nobody's any more: not to be remembered.
    return home;
  }
  homes_.with([&](auto& homes) { homes.insert_or_assign(uid, home); });
  return home;
}

Result<Topic> TopicRouter::create_topic(const std::string& name, const TopicSettings& settings) {
  ASSIGN_OR_RETURN(const Place place, find(name));
  return named(place.home.log->create_topic(place.topic, settings), place.home.cluster);
}

Result<Topic> TopicRouter::ensure_topic(const std::string& name) {
  ASSIGN_OR_RETURN(const Place place, find(name));
  return named(place.home.log->ensure_topic(place.topic), place.home.cluster);
}

Result<Topic> TopicRouter::update_topic(const std::string& name, const TopicSettings& settings) {
  ASSIGN_OR_RETURN(const Place place, find(name));
  return named(place.home.log->update_topic(place.topic, settings), place.home.cluster);
}

Result<Topic> TopicRouter::topic(const std::string& name) const {
  ASSIGN_OR_RETURN(const Place place, find(name));
  return named(std::as_const(*place.home.log).topic(place.topic), place.home.cluster);
}

Status TopicRouter::delete_topic(const std::string& name) {
  ASSIGN_OR_RETURN(const Place place, find(name));
  return place.home.log->delete_topic(place.topic);
}

void TopicRouter::publish(PublishRequest request, PublishDone done) {
  auto place = find(request.topic);
  if (!place) return done(fail(std::move(place.error())));
  request.topic = std::move(place->topic);
  place->home.log->publish(std::move(request), std::move(done));
}

// The topics of one log whose shown names stand after `after`.
Result<std::vector<Topic>> TopicRouter::page(const Home& home, const std::string& after, std::size_t limit) const {
  const std::string shown = prefix(home.cluster);
  std::string inner;
  if (after.starts_with(shown))
    inner = after.substr(shown.size());
  else if (after > shown)
    return std::vector<Topic>{};
  ASSIGN_OR_RETURN(std::vector<Topic> found, home.log->topics(inner, limit));
  for (Topic& topic : found) topic = named(std::move(topic), home.cluster);
  return found;
}

Result<std::vector<Topic>> TopicRouter::topics(const std::string& after, std::size_t limit) const {
  ASSIGN_OR_RETURN(std::vector<Topic> all, page({&embedded_, {}}, after, limit));
  for (const auto& [cluster, log] : clusters_) {
    auto found = page({log, cluster}, after, limit);
    if (!found) continue;
    all.insert(all.end(), std::make_move_iterator(found->begin()), std::make_move_iterator(found->end()));
  }
  std::sort(all.begin(), all.end(), [](const Topic& a, const Topic& b) { return a.name < b.name; });
  if (all.size() > limit) all.resize(limit);
  return all;
}

Result<Topic> TopicRouter::topic(TopicUid uid) const {
  ASSIGN_OR_RETURN(const Home home, find(uid));
  return named(std::as_const(*home.log).topic(uid), home.cluster);
}

Result<ReadResult> TopicRouter::read(TopicUid topic, PartitionId partition, Offset from, std::size_t max_bytes) const {
  ASSIGN_OR_RETURN(const Home home, find(topic));
  return home.log->read(topic, partition, from, max_bytes);
}

std::unique_ptr<TopicReader> TopicRouter::open_reader(TopicUid topic, OnNews on_news) {
  auto home = find(topic);
  if (!home) return std::make_unique<FailedReader>(std::move(home.error()));
  return home->log->open_reader(topic, std::move(on_news));
}

void TopicRouter::note_cursors(TopicUid topic, const std::string& group, const std::vector<StartOffset>& cursors) {
  if (const auto home = find(topic)) home->log->note_cursors(topic, group, cursors);
}

Result<std::vector<StartOffset>> TopicRouter::group_offsets(TopicUid topic, const std::string& group) const {
  ASSIGN_OR_RETURN(const Home home, find(topic));
  return home.log->group_offsets(topic, group);
}

}  // namespace dhub::eventlog
