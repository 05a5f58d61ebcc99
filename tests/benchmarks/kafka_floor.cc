// SPDX-License-Identifier: Apache-2.0
// What a Kafka broker and librdkafka give without the product: fills a topic, or reads it by a bare batch consumer.
//
//   kafka_floor fill BROKERS TOPIC COUNT BYTES KEYS     the keys take turns; 0: without
//   kafka_floor read BROKERS TOPIC PARTITIONS COUNT
//
// Prints one line of JSON: messages, seconds, and seconds of CPU of this process.
#include <array>
#include <charconv>
#include <cstdio>
#include <librdkafka/rdkafka.h>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <vector>

#include "base/time.h"

namespace {

using dhub::read_clocks;

[[noreturn]] void give_up(const std::string& what) {
  std::fprintf(stderr, "kafka_floor: %s\n", what.c_str());
  std::exit(1);
}

long number(std::string_view text) {
  long value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) give_up("not a number: " + std::string(text));
  return value;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

void report(long messages, dhub::Duration took) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  std::printf(R"({"messages": %ld, "seconds": %.6f, "cpu": %.6f})"
              "\n",
              messages, std::chrono::duration<double>(took).count(), seconds(usage.ru_utime) + seconds(usage.ru_stime));
}

rd_kafka_t* open(rd_kafka_type_t type, const std::vector<std::pair<const char*, std::string>>& properties) {
  std::array<char, 512> why{};
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  for (const auto& [name, value] : properties)
    if (rd_kafka_conf_set(conf, name, value.c_str(), why.data(), why.size()) != RD_KAFKA_CONF_OK) give_up(why.data());
  rd_kafka_t* rk = rd_kafka_new(type, conf, why.data(), why.size());
  if (rk == nullptr) give_up(why.data());
  return rk;
}

void fill(const std::string& brokers, const std::string& topic, long count, long bytes, long keys) {
  rd_kafka_t* rk = open(RD_KAFKA_PRODUCER, {{"bootstrap.servers", brokers},
                                            {"linger.ms", "20"},
                                            {"batch.size", "262144"},
                                            {"partitioner", "murmur2_random"}});
  const std::string value(static_cast<std::size_t>(bytes), 'x');
  const auto begin = read_clocks().mono;
  for (long i = 0; i < count;) {
    const std::string key = keys > 0 ? "key-" + std::to_string(i % keys) : "";
    const void* key_bytes = keys > 0 ? key.data() : nullptr;
    const auto error = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_KEY(key_bytes, key.size()),
                                         RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                                         RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL)
      rd_kafka_poll(rk, 100);
    else if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
      give_up(rd_kafka_err2str(error));
    else
      ++i;
  }
  if (rd_kafka_flush(rk, 60'000) != RD_KAFKA_RESP_ERR_NO_ERROR) give_up("not all is acknowledged");
  report(count, read_clocks().mono - begin);
  rd_kafka_destroy(rk);
}

// As the product reads: assigned by number, committed records only, the first by a poll and the rest without waiting.
void read(const std::string& brokers, const std::string& topic, long partitions, long count) {
  rd_kafka_t* rk = open(RD_KAFKA_CONSUMER, {{"bootstrap.servers", brokers},
                                            {"group.id", "floor"},
                                            {"enable.auto.commit", "false"},
                                            {"isolation.level", "read_committed"},
                                            {"fetch.error.backoff.ms", "10"}});
  rd_kafka_topic_t* handle = rd_kafka_topic_new(rk, topic.c_str(), nullptr);
  rd_kafka_queue_t* queue = rd_kafka_queue_new(rk);
  const auto begin = read_clocks().mono;
  for (long i = 0; i < partitions; ++i)
    if (rd_kafka_consume_start_queue(handle, static_cast<std::int32_t>(i), 0, queue) != 0)
      give_up(rd_kafka_err2str(rd_kafka_last_error()));
  std::array<rd_kafka_message_t*, 4096> batch{};
  long got = 0;
  const auto take = [&](rd_kafka_message_t* message) {
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) ++got;
    rd_kafka_message_destroy(message);
  };
  while (got < count) {
    rd_kafka_message_t* first = rd_kafka_consume_queue(queue, 10'000);
    if (first == nullptr) give_up("nothing has come for 10 s");
    take(first);
    const ssize_t more = rd_kafka_consume_batch_queue(queue, 0, batch.data(), batch.size());
    for (ssize_t i = 0; i < more; ++i) take(batch[static_cast<std::size_t>(i)]);
  }
  report(got, read_clocks().mono - begin);
  for (long i = 0; i < partitions; ++i) rd_kafka_consume_stop(handle, static_cast<std::int32_t>(i));
  rd_kafka_queue_destroy(queue);
  rd_kafka_topic_destroy(handle);
  rd_kafka_destroy(rk);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() == 6 && words[0] == "fill")
    fill(words[1], words[2], number(words[3]), number(words[4]), number(words[5]));
  else if (words.size() == 5 && words[0] == "read")
    read(words[1], words[2], number(words[3]), number(words[4]));
  else
    give_up("fill BROKERS TOPIC COUNT BYTES KEYS, or read BROKERS TOPIC PARTITIONS COUNT");
  return 0;
}
