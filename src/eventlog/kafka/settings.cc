// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/settings.h"

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

Properties join(std::initializer_list<const Properties*> parts) {
  Properties all;
  for (const Properties* part : parts) all.insert(all.end(), part->begin(), part->end());
  return all;
}

}  // namespace

Properties consumer_settings(const Properties& configured) {
  return join({&kCommonDefaults, &kConsumerDefaults, &configured, &kConsumerForced});
}

Properties producer_settings(const Properties& configured) {
  return join({&kCommonDefaults, &kProducerDefaults, &configured, &kProducerForced});
}

}  // namespace dhub::kafka
