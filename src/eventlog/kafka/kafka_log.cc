// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/kafka_log.h"

#include <algorithm>
#include <fmt/format.h>
#include <future>
#include <poll.h>
#include <utility>

#include "base/utf8.h"
#include "eventlog/kafka/lookup.h"
#include "eventlog/kafka/producer.h"
#include "eventlog/kafka/settings.h"
#include "eventlog/kafka/streams.h"

namespace dhub::kafka {
namespace {

constexpr Duration kKeepInView = std::chrono::minutes(1);
constexpr Duration kAskAgain = std::chrono::seconds(2);
constexpr Duration kReadWait = std::chrono::seconds(8);
constexpr Duration kUntilAllKnowIt = milliseconds(500);
constexpr Duration kUntilItIsLed = std::chrono::seconds(2);
constexpr int kBetweenLooksMs = 50;
constexpr std::size_t kMostListed = 500;
// A question ends while the brokers hold back their answer to its fetch, and the next one has to wait for that.
constexpr const char* kLookupWait = "10";

HandleEvents events_of(Logger& logger, const std::string& cluster) {
  HandleEvents events;
  events.on_log = [&logger, cluster](LogLevel level, const std::string& text) {
    // Settings of consumers are no business of producers, and the other way round: each handle would say so.
    if (text.starts_with("CONFWARN")) return;
    logger.log(std::min(level, LogLevel::Warn), "librdkafka", {{"cluster", cluster}, {"text", text}});
  };
  return events;
}

// What they take in memory, about.
std::size_t bytes_of(const std::vector<Message>& messages) {
  std::size_t bytes = 0;
  for (const auto& message : messages) {
    bytes += sizeof(Message) + (message.key ? message.key->size() : 0) + (message.value ? message.value->size() : 0);
    for (const auto& header : message.headers)
      bytes += sizeof(Header) + header.name.size() + (header.value ? header.value->size() : 0);
  }
  return bytes;
}

Topic to_topic(const TopicView& view, const std::string& cluster) {
  Topic topic;
  topic.uid = view.uid;
  topic.name = view.name;
  topic.cluster = cluster;
  topic.settings.partitions = static_cast<std::int32_t>(view.partitions.size());
  topic.partitions = view.partitions;
  return topic;
}

}  // namespace

struct KafkaLog::Parts {
  Parts(KafkaOptions given, TopicRegistry& uids, Logger& log, std::shared_ptr<Handle> admin_handle)
      : options(std::move(given)),
        registry(uids),
        logger(log),
        questions(std::move(admin_handle)),
        admin(questions),
        producer(producer_settings(options.properties), events_of(log, options.cluster),
                 [this](const std::string& topic, const Placement& placement) {
                   table.raise_end(topic, placement.partition, Offset{placement.offset.value + 1});
                 }),
        inspector(options.cluster, admin, table, registry,
                  [&log](LogLevel level, const std::string& text, std::vector<LogField> fields) {
                    log.log(level, text, fields);
                  }),
        streams(consumer_settings(options.properties), events_of(log, options.cluster), table, inspector),
        lookup(
            [this] {
              return streams.open_handle({{"fetch.wait.max.ms", kLookupWait}});
            },
            admin) {}

  ~Parts() {
    producer.stop();
    lookup.stop();
    inspector.stop();
  }

  // Serves the clients' callbacks for as long as the inspector lives.
  void keep_polling() {
    inspector.every_round([this] {
      questions->poll(0);
      streams.poll();
    });
  }

  // Asks the brokers now, and keeps the topic in view.
  Result<TopicView> look_up(const std::string& name) {
    ASSIGN_OR_RETURN(const auto described, admin.describe({name}));
    ASSIGN_OR_RETURN(const auto description, only_one(described, name));
    return take_in(name, description);
  }

  [[nodiscard]] Result<TopicDescription> only_one(const Admin::Descriptions& described, const std::string& name) const {
    const auto found = described.find(name);
    if (found == described.end() || (!found->second && found->second.error().code == ErrorCode::NotFound))
      return fail(
          ErrorCode::NotFound,
          fmt::format("There is no topic '{}' in the Kafka cluster '{}'. Create it with Kafka's own tools: topics "
                      "of a cluster are never made here.",
                      name, options.cluster));
    return found->second;
  }

  Result<TopicView> take_in(const std::string& name, const TopicDescription& description) {
    TopicView view;
    view.name = name;
    view.identity = description.identity;
    ASSIGN_OR_RETURN(view.partitions, ranges(name, description.partitions));
    ASSIGN_OR_RETURN(view.uid, registry.enlist(options.cluster, name, view.identity));
    table.want(view.uid, read_clocks().mono + kKeepInView);
    table.put(view);
    return view;
  }

  Result<std::vector<PartitionRange>> ranges(const std::string& name, std::int32_t partitions) {
    Admin::Partitions all;
    for (std::int32_t i = 0; i < partitions; ++i) all.emplace_back(name, PartitionId{i});
    ASSIGN_OR_RETURN(const auto starts, admin.offsets(all, LogEdge::Start));
    ASSIGN_OR_RETURN(const auto ends, admin.offsets(all, LogEdge::End));
    std::vector<PartitionRange> found;
    for (const auto& place : all) {
      const auto start = starts.find(place);
      const auto end = ends.find(place);
      if (start == starts.end() || end == ends.end())
        return fail(ErrorCode::Unavailable,
                    fmt::format("Partition {} of topic '{}' has no leader at the moment; try again in a while.",
                                place.second, name));
      found.push_back({place.second, start->second, end->second});
    }
    return found;
  }

  // Whether the topic can be published to; on the inspector's thread. Where nobody has answered just now nobody is
  // asked again for a moment, or many publishers of unknown topics would wait for each other.
  Status ask_for(const std::string& name) {
    const Instant now = read_clocks().mono;
    if (unreachable && now < unreachable_until) return fail(*unreachable);
    const auto described = admin.describe({name});
    if (!described) {
      unreachable = described.error();
      unreachable_until = read_clocks().mono + kAskAgain;
      return fail(described.error());
    }
    unreachable.reset();
    ASSIGN_OR_RETURN(const auto description, only_one(*described, name));
    // That a partition has no leader at the moment is for the producer to wait out.
    (void)take_in(name, description);
    return {};
  }

  [[nodiscard]] tl::unexpected<Error> not_ours(const std::string& name) const {
    return fail(ErrorCode::Unsupported,
                fmt::format("Topic '{}' belongs to the Kafka cluster '{}', whose topics are made, changed and deleted "
                            "with Kafka's own tools.",
                            name, options.cluster));
  }

  const KafkaOptions options;
  TopicRegistry& registry;
  Logger& logger;
  TopicTable table;
  std::shared_ptr<Handle> questions;  // shared: with the copies of `admin`
  Admin admin;
  Producer producer;
  Inspector inspector;
  Streams streams;
  Lookup lookup;
  std::optional<Error> unreachable;  // this and the next: of ask_for
  Instant unreachable_until{};
};

KafkaLog::KafkaLog(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
KafkaLog::~KafkaLog() = default;

Result<std::unique_ptr<KafkaLog>> KafkaLog::open(KafkaOptions options, TopicRegistry& registry, Logger& logger) {
  const auto named = [&](Error error) {
    return fail(error.code, fmt::format("topics.clusters.{}.kafka.{}", options.cluster, error.message));
  };
  if (const Status good = check_settings(options.properties); !good) return named(good.error());
  auto handle = Handle::open(Role::Producer, producer_settings(options.properties), events_of(logger, options.cluster));
  if (!handle) return named(handle.error());
  auto parts =
      std::make_unique<Parts>(std::move(options), registry, logger, std::shared_ptr<Handle>(std::move(*handle)));
  parts->keep_polling();
  parts->inspector.start();
  return std::unique_ptr<KafkaLog>(new KafkaLog(std::move(parts)));
}

Result<Topic> KafkaLog::create_topic(const std::string& name, const TopicSettings&) {
  return parts_->not_ours(name);
}

Result<Topic> KafkaLog::update_topic(const std::string& name, const TopicSettings&) {
  return parts_->not_ours(name);
}

Status KafkaLog::delete_topic(const std::string& name) {
  return parts_->not_ours(name);
}

// Whoever starts a trigger right after making its topic need not know that for a moment it is not known to each of the
// brokers, and then has no leader.
Result<Topic> KafkaLog::ensure_topic(const std::string& name) {
  const Instant begun = read_clocks().mono;
  while (true) {
    auto found = topic(name);
    if (found) return found;
    const ErrorCode code = found.error().code;
    const Duration patience = code == ErrorCode::NotFound      ? kUntilAllKnowIt
                              : code == ErrorCode::Unavailable ? kUntilItIsLed
                                                               : Duration::zero();
    if (read_clocks().mono >= begun + patience) return found;
    ::poll(nullptr, 0, kBetweenLooksMs);
  }
}

Result<Topic> KafkaLog::topic(const std::string& name) const {
  ASSIGN_OR_RETURN(const TopicView view, parts_->look_up(name));
  return to_topic(view, parts_->options.cluster);
}

Result<Topic> KafkaLog::topic(TopicUid uid) const {
  const auto view = parts_->table.find(uid);
  if (!view || view->name.empty()) {
    parts_->table.want(uid, read_clocks().mono + kKeepInView);
    parts_->inspector.look_at(uid);
    if (view && view->error) return fail(*view->error);
    return fail(ErrorCode::Unavailable, "The topic is being looked up in the Kafka cluster.");
  }
  if (view->error && view->error->code == ErrorCode::Conflict) return fail(*view->error);
  return to_topic(*view, parts_->options.cluster);
}

Result<std::vector<Topic>> KafkaLog::topics(const std::string& after, std::size_t limit) const {
  ASSIGN_OR_RETURN(auto names, parts_->admin.topic_names());
  names.erase(names.begin(), std::upper_bound(names.begin(), names.end(), after));
  if (names.size() > std::min(limit, kMostListed)) names.resize(std::min(limit, kMostListed));
  ASSIGN_OR_RETURN(const auto described, parts_->admin.describe(names));
  std::vector<Topic> topics;
  for (const auto& [name, description] : described) {
    if (!description) continue;
    TopicView view;
    view.name = name;
    auto ranges = parts_->ranges(name, description->partitions);
    if (!ranges) continue;
    view.partitions = std::move(*ranges);
    topics.push_back(to_topic(view, parts_->options.cluster));
  }
  return topics;
}

void KafkaLog::publish(PublishRequest request, PublishDone done) {
  if (const Status valid = validate_topic_name(request.topic); !valid) return done(fail(valid.error()));
  if (!request.idempotency_key.empty())
    return done(fail(ErrorCode::Unsupported,
                     "An idempotency key is remembered for topics of the embedded log only; leave it away for a topic "
                     "of a Kafka cluster."));
  if (request.messages.empty()) return done(std::vector<Placement>{});
  // An outage is for the producer to wait out, for as long as a message may take.
  const auto view = parts_->table.standing(request.topic);
  if (view && (!view->error || view->error->code == ErrorCode::Unavailable))
    return parts_->producer.publish(request.topic, request.messages, std::move(done));
  // Whether the topic is there has to be asked first: a producer would wait for it until it gives up.
  const std::size_t bytes = bytes_of(request.messages);
  parts_->inspector.run(bytes, [parts = parts_.get(), request = std::move(request), done](const Status& turn) {
    const Status there = turn ? parts->ask_for(request.topic) : turn;
    if (!there) return done(fail(there.error()));
    parts->producer.publish(request.topic, request.messages, done);
  });
}

Result<ReadResult> KafkaLog::read(TopicUid topic, PartitionId partition, Offset from, std::size_t max_bytes) const {
  ASSIGN_OR_RETURN(const ForeignTopic foreign, parts_->registry.foreign_topic(topic));
  std::optional<PartitionRange> range;
  const auto view = parts_->table.standing(topic, partition, range);
  if (partition.value < 0 || (view && !view->error && !range))
    return fail(ErrorCode::NotFound, fmt::format("Topic '{}' has no partition {}.", foreign.name, partition));
  const auto answer = std::make_shared<std::promise<Result<ReadResult>>>();
  auto answered = answer->get_future();
  parts_->lookup.ask({foreign.name, foreign.identity, partition, from, max_bytes},
                     [answer](Result<ReadResult> result) { answer->set_value(std::move(result)); });
  if (answered.wait_for(kReadWait) != std::future_status::ready)
    return fail(ErrorCode::Unavailable,
                fmt::format("Topic '{}' cannot be read at the moment; try again.", foreign.name));
  return answered.get();
}

std::unique_ptr<TopicReader> KafkaLog::open_reader(TopicUid topic, OnNews on_news) {
  return std::make_unique<Reader>(parts_->streams, parts_->table, parts_->inspector, topic, std::move(on_news));
}

void KafkaLog::note_cursors(TopicUid topic, const std::string& group, const std::vector<StartOffset>& cursors) {
  parts_->inspector.note_cursors(topic, group, cursors);
}

Result<std::vector<StartOffset>> KafkaLog::group_offsets(TopicUid topic, const std::string& group) const {
  // Brokers answer with another name than was asked for, and the library ends the process over that.
  if (!is_utf8(group) || group.find('\0') != group.npos)
    return fail(ErrorCode::InvalidArgument, "The name of a consumer group must be UTF-8 without zero bytes.");
  ASSIGN_OR_RETURN(const ForeignTopic foreign, parts_->registry.foreign_topic(topic));
  ASSIGN_OR_RETURN(const TopicDescription described, parts_->admin.describe_one(foreign.name));
  ASSIGN_OR_RETURN(const std::size_t members, parts_->admin.group_members(group));
  if (members > 0)
    return fail(ErrorCode::Conflict,
                fmt::format("Consumers of group '{}' are still reading: both would work on the same messages. Stop "
                            "them, then start the trigger.",
                            group));
  return parts_->admin.group_offsets(group, foreign.name, described.partitions);
}

}  // namespace dhub::kafka
