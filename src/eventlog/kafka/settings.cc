// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/settings.h"

#include <algorithm>
#include <fmt/format.h>

namespace dhub::kafka {
namespace {

// A broker that is back is found within two seconds.
const Properties kCommonDefaults = {{"client.id", "dhub"},
                                    {"socket.keepalive.enable", "true"},
                                    {"reconnect.backoff.max.ms", "2000"},
                                    {"topic.metadata.refresh.interval.ms", "30000"}};

// What is fetched ahead is bounded per partition, and fetching goes on at once when there is room again.
const Properties kConsumerDefaults = {{"isolation.level", "read_committed"},
                                      {"queued.max.messages.kbytes", "8192"},
                                      {"fetch.queue.backoff.ms", "5"},
                                      {"check.crcs", "true"}};
const Properties kConsumerForced = {{"enable.auto.commit", "false"},
                                    {"enable.auto.offset.store", "false"},
                                    {"auto.offset.reset", "error"},
                                    {"enable.partition.eof", "true"}};

// Keys go where Kafka's Java client puts them. Messages up to the server's own limit pass, if the topic lets them.
const Properties kProducerDefaults = {{"linger.ms", "2"},
                                      {"message.timeout.ms", "30000"},
                                      {"message.max.bytes", "2097152"},
                                      {"queue.buffering.max.kbytes", "131072"},
                                      {"partitioner", "murmur2_random"}};
const Properties kProducerForced = {
    {"enable.idempotence", "true"}, {"acks", "all"}, {"queue.buffering.max.messages", "200000"}};

// Their other names.
const Properties kAliases = {{"request.required.acks", "acks"}, {"auto.commit.enable", "enable.auto.commit"}};

Properties join(std::initializer_list<const Properties*> parts) {
  Properties all;
  for (const Properties* part : parts) all.insert(all.end(), part->begin(), part->end());
  return all;
}

}  // namespace

Status check_settings(const Properties& configured) {
  for (const auto& property : configured) {
    const std::string& written = property.first;
    const std::string& value = property.second;
    const auto alias =
        std::find_if(kAliases.begin(), kAliases.end(), [&](const auto& a) { return a.first == written; });
    const std::string& name = alias == kAliases.end() ? written : alias->second;
    for (const auto* ours : {&kConsumerForced, &kProducerForced})
      for (const auto& [forced, needed] : *ours)
        if (forced == name && needed != value)
          return fail(
              ErrorCode::InvalidArgument,
              fmt::format("{}: must be '{}', for what dhub promises rests on it; leave it away.", written, needed));
  }
  return check_properties(consumer_settings(configured));
}

Properties consumer_settings(const Properties& configured) {
  return join({&kCommonDefaults, &kConsumerDefaults, &configured, &kConsumerForced});
}

Properties producer_settings(const Properties& configured) {
  return join({&kCommonDefaults, &kProducerDefaults, &configured, &kProducerForced});
}

}  // namespace dhub::kafka
