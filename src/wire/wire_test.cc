// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "base/test_seed.h"
#include "wire/bytes.h"
#include "wire/deliveries.h"
#include "wire/frame.h"
#include "wire/messages.h"
#include "wire/outcomes.h"

namespace dhub::wire {
namespace {

using namespace std::chrono_literals;

void feed(FrameBuffer& buffer, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto space = buffer.space();
    const std::size_t count = std::min(space.size, bytes.size());
    std::memcpy(space.data, bytes.data(), count);
    buffer.wrote(count);
    bytes.remove_prefix(count);
  }
}

std::string frame(FrameType type, std::uint64_t instance, std::string_view payload) {
  std::string out;
  const std::size_t began = begin_frame(out, type, InstanceId{instance});
  out += payload;
  end_frame(out, began);
  return out;
}

Start sample_start() {
  Start start;
  start.start_timeout = 7s;
  start.spec.pipeline_id = "orders";
  start.spec.version = Version{12};
  start.spec.steps = {{"a", "script a", std::nullopt}, {"b", "", "topic"}, {"c", "x", ""}};
  start.spec.env = {{"A", "1"}, {"EMPTY", ""}};
  start.spec.interpreter = "/usr/bin/python3";
  start.spec.limits = {123, 456};
  start.spec.timeout = 1500ms;
  start.spec.concurrency = 3;
  return start;
}

Outcome sample_outcome() {
  Outcome outcome;
  outcome.delivery = DeliveryId{77};
  outcome.kind = OutcomeKind::Failed;
  outcome.duration_us = 1234;
  outcome.step = 2;
  outcome.retry_after = 1500ms;
  outcome.error = "ValueError: x";
  outcome.trace = "Traceback";
  outcome.log = "hello\n";
  outcome.results = std::string("\x00\x01\xff", 3);
  outcome.publications = {{"out", {"key", {{"h", "v"}, {"null", std::nullopt}}, "value", WallTime{5}}},
                          {"out2", {std::nullopt, {}, std::nullopt, WallTime{}}}};
  return outcome;
}

std::string sample_outcomes_payload() {
  std::string payload;
  put(payload, std::uint32_t{2});
  encode_outcome(payload, sample_outcome(), kSuspect);
  Outcome plain;
  plain.delivery = DeliveryId{78};
  encode_outcome(payload, plain, 0);
  return payload;
}

Delivery sample_delivery(const std::string& headers) {
  Delivery delivery;
  delivery.id = make_delivery_id(OwnerEpoch{3}, 9);
  delivery.run = {Pass{2}, PartitionId{5}, Offset{1LL << 40}};
  delivery.attempt = 4;
  delivery.chain = 6;
  delivery.hops = 7;
  delivery.step = 1;
  delivery.topic = "orders-topic";
  delivery.results = "stored";
  delivery.record = {delivery.run.offset, WallTime{1'700'000'000'000}, "key", headers, "value"};
  return delivery;
}

std::string sample_deliveries_payload() {
  std::string payload;
  put(payload, std::uint32_t{2});
  encode_delivery(payload, sample_delivery(encode_headers({{"h", "v"}})), kAlone);
  Delivery bare = sample_delivery("");
  bare.record.key = std::nullopt;
  bare.record.value = std::nullopt;
  bare.results = {};
  encode_delivery(payload, bare, 0);
  return payload;
}

TEST(Frame, ComesThroughWhateverPiecesItArrivesIn) {
  const std::string bytes = frame(FrameType::Deliver, 42, "payload") + frame(FrameType::Kill, 43, "") +
                            frame(FrameType::Outcomes, 44, std::string(200'000, 'x'));
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{4096}, bytes.size()}) {
    FrameBuffer buffer;
    std::vector<std::string> seen;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      feed(buffer, std::string_view(bytes).substr(at, piece));
      for (;;) {
        const auto next = buffer.next();
        ASSERT_TRUE(next.has_value());
        if (!*next) break;
        seen.emplace_back((*next)->whole);
        EXPECT_EQ((*next)->whole.size(), kFrameHeaderBytes + (*next)->payload.size());
      }
    }
    ASSERT_EQ(seen.size(), 3u);
    EXPECT_EQ(seen[0] + seen[1] + seen[2], bytes);
  }
}

TEST(Frame, HasTheBytesOfTheSpecification) {
  EXPECT_EQ(frame(FrameType::Recall, 0x0102, "ab"), std::string("\x0b\x00\x00\x00\x04\x02\x01\x00\x00\x00\x00\x00\x00"
                                                                "ab",
                                                                15));
}

TEST(Frame, AnImpossibleLengthIsAnErrorBeforeAnythingIsHeldForIt) {
  for (const std::uint32_t length : {0u, 8u, static_cast<std::uint32_t>(kMostFrameBytes - 3), 0xffffffffu}) {
    FrameBuffer buffer;
    std::string bytes;
    put(bytes, length);
    feed(buffer, bytes);
    EXPECT_FALSE(buffer.next().has_value()) << length;
    EXPECT_LE(buffer.space().size, 256u << 10);
  }
}

TEST(Frame, TheLargestLengthIsWaitedFor) {
  FrameBuffer buffer;
  std::string bytes;
  put(bytes, static_cast<std::uint32_t>(kMostFrameBytes - 4));
  feed(buffer, bytes);
  const auto next = buffer.next();
  ASSERT_TRUE(next.has_value());
  EXPECT_FALSE(next->has_value());
}

TEST(Frame, GivesTheRoomOfALargeFrameBack) {
  FrameBuffer buffer;
  feed(buffer, frame(FrameType::Deliver, 1, std::string(8 << 20, 'x')));
  ASSERT_TRUE(buffer.next()->has_value());
  EXPECT_LE(buffer.space().size, 1u << 20);
}

TEST(Protocol, TheNewestCommonVersionCounts) {
  EXPECT_EQ(common_protocol({1, 3}, {2, 5}), 3);
  EXPECT_EQ(common_protocol({1, 1}, {1, 1}), 1);
  EXPECT_EQ(common_protocol({1, 2}, {3, 4}), 0);
  EXPECT_EQ(common_protocol({3, 4}, {1, 2}), 0);
}

TEST(Messages, ComeBackAsTheyWent) {
  std::string bytes;
  encode_start(bytes, sample_start());
  const auto start = decode_start(bytes);
  ASSERT_TRUE(start.has_value());
  EXPECT_EQ(start->spec.pipeline_id, "orders");
  EXPECT_EQ(start->spec.version, Version{12});
  EXPECT_EQ(start->spec.env, sample_start().spec.env);
  EXPECT_EQ(start->spec.steps.size(), 3u);
  EXPECT_EQ(start->spec.steps[1].result_topic, "topic");
  EXPECT_EQ(start->spec.steps[2].result_topic, "");
  EXPECT_EQ(start->spec.timeout, Duration(1500ms));
  EXPECT_EQ(start->start_timeout, Duration(7s));
  EXPECT_EQ(start->spec.concurrency, 3);
  EXPECT_EQ(start->spec.limits.memory_bytes, 123u);
  EXPECT_EQ(start->spec.limits.output_bytes, 456u);

  bytes.clear();
  encode_hello(bytes, ServerHello{{1, 2}, 10min, "/package", "/instances"});
  const auto hello = decode_server_hello(bytes);
  ASSERT_TRUE(hello.has_value());
  EXPECT_EQ(hello->protocol.newest, 2);
  EXPECT_EQ(hello->template_idle, Duration(10min));
  EXPECT_EQ(hello->instances_dir, "/instances");
  EXPECT_TRUE(decode_server_hello(bytes + "of a newer version").has_value());

  bytes.clear();
  encode_ended(bytes, {EndReason::OutOfMemory, "detail", "trace"});
  const auto ended = decode_ended(bytes);
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->reason, EndReason::OutOfMemory);
  EXPECT_EQ(ended->detail + ended->trace, "detailtrace");
}

TEST(Deliveries, ComeBackAsTheyWent) {
  const std::string payload = sample_deliveries_payload();
  const auto deliveries = decode_deliveries(payload);
  ASSERT_TRUE(deliveries.has_value());
  ASSERT_EQ(deliveries->size(), 2u);
  const auto& [first, flags] = (*deliveries)[0];
  EXPECT_EQ(flags, kAlone);
  EXPECT_EQ(first.id, make_delivery_id(OwnerEpoch{3}, 9));
  EXPECT_EQ(first.run, (RunId{Pass{2}, PartitionId{5}, Offset{1LL << 40}}));
  EXPECT_EQ(first.attempt, 4);
  EXPECT_EQ(first.chain, 6);
  EXPECT_EQ(first.hops, 7);
  EXPECT_EQ(first.step, 1);
  EXPECT_EQ(first.topic, "orders-topic");
  EXPECT_EQ(first.results, "stored");
  EXPECT_EQ(first.record.key, "key");
  EXPECT_EQ(first.record.value, "value");
  EXPECT_EQ(first.record.headers, encode_headers({{"h", "v"}}));
  EXPECT_EQ((*deliveries)[1].delivery.record.key, std::nullopt);
  EXPECT_EQ((*deliveries)[1].delivery.record.value, std::nullopt);
}

TEST(Outcomes, ComeBackAsTheyWent) {
  const auto outcomes = decode_outcomes(sample_outcomes_payload());
  ASSERT_TRUE(outcomes.has_value());
  ASSERT_EQ(outcomes->size(), 2u);
  const Outcome& back = (*outcomes)[0].outcome;
  const Outcome went = sample_outcome();
  EXPECT_TRUE((*outcomes)[0].suspect);
  EXPECT_FALSE((*outcomes)[1].suspect);
  EXPECT_EQ(back.delivery, went.delivery);
  EXPECT_EQ(back.kind, went.kind);
  EXPECT_EQ(back.duration_us, went.duration_us);
  EXPECT_EQ(back.step, went.step);
  EXPECT_EQ(back.retry_after, went.retry_after);
  EXPECT_EQ(back.error + back.trace + back.log + back.results, went.error + went.trace + went.log + went.results);
  ASSERT_EQ(back.publications.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(back.publications[i].topic, went.publications[i].topic);
    EXPECT_EQ(back.publications[i].message, went.publications[i].message);
  }
  EXPECT_EQ((*outcomes)[1].outcome.retry_after, std::nullopt);
  EXPECT_EQ(count_outcomes(sample_outcomes_payload()).value_or(0), 2u);
}

TEST(Outcomes, TextsBecomeUtf8AndAreCut) {
  Outcome outcome;
  outcome.error = "bad \xff byte" + std::string(1 << 20, 'x');
  outcome.retry_after = 24h * 100'000;
  std::string payload;
  put(payload, std::uint32_t{1});
  encode_outcome(payload, outcome, 0);
  const auto back = decode_outcomes(payload);
  ASSERT_TRUE(back.has_value());
  EXPECT_THAT((*back)[0].outcome.error, testing::StartsWith("bad \xef\xbf\xbd byte"));
  EXPECT_LE((*back)[0].outcome.error.size(), 16u << 10);
  EXPECT_LE(*(*back)[0].outcome.retry_after, Duration(24h * 366));
}

// Every decoder, on every prefix of a good payload: refuses it, and reads nothing past its end (the copy is exactly as
// long, so that the address sanitizer sees a byte too many).
template <typename Decode>
void expect_no_prefix_decodes(const std::string& payload, Decode decode) {
  ASSERT_TRUE(decode(payload));
  for (std::size_t length = 0; length < payload.size(); ++length) {
    const std::vector<char> exact(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_FALSE(decode(std::string_view(exact.data(), exact.size()))) << length;
  }
}

TEST(Truncation, NoPrefixOfAPayloadIsTakenForIt) {
  std::string start;
  encode_start(start, sample_start());
  expect_no_prefix_decodes(start, [](std::string_view p) { return decode_start(p).has_value(); });
  std::string hello;
  encode_hello(hello, ServerHello{{}, 1s, "a", "b"});
  expect_no_prefix_decodes(hello, [](std::string_view p) { return decode_server_hello(p).has_value(); });
  std::string host_hello;
  encode_hello(host_hello, HostHello{{}, "name"});
  expect_no_prefix_decodes(host_hello, [](std::string_view p) { return decode_host_hello(p).has_value(); });
  std::string ended;
  encode_ended(ended, {EndReason::Crashed, "d", "t"});
  expect_no_prefix_decodes(ended, [](std::string_view p) { return decode_ended(p).has_value(); });
  std::string failure;
  encode_failure(failure, {"e", "t"});
  expect_no_prefix_decodes(failure, [](std::string_view p) { return decode_failure(p).has_value(); });
  expect_no_prefix_decodes(sample_deliveries_payload(),
                           [](std::string_view p) { return decode_deliveries(p).has_value(); });
  expect_no_prefix_decodes(sample_outcomes_payload(),
                           [](std::string_view p) { return decode_outcomes(p).has_value(); });
  expect_no_prefix_decodes(sample_outcomes_payload(), [](std::string_view p) { return count_outcomes(p).has_value(); });
}

TEST(Hostile, OutcomesWithLengthsKindsOrHeadersThatCannotBeAreRefused) {
  const std::string good = sample_outcomes_payload();
  const auto with = [&](std::size_t at, std::uint8_t value) {
    std::string bad = good;
    bad[at] = static_cast<char>(value);
    return bad;
  };
  EXPECT_FALSE(count_outcomes(with(3, 0xff)));   // count
  EXPECT_FALSE(count_outcomes(with(7, 0xff)));   // length of the first
  EXPECT_FALSE(count_outcomes(with(16, 0)));     // kind
  EXPECT_FALSE(count_outcomes(with(16, 9)));     // kind
  EXPECT_FALSE(count_outcomes(with(35, 0xff)));  // length of the error
  EXPECT_FALSE(count_outcomes(good + "x"));      // more than it says
}

TEST(Hostile, NoFlippedByteIsReadPastTheEnd) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  std::string start;
  encode_start(start, sample_start());
  const std::vector<std::string> payloads{sample_outcomes_payload(), sample_deliveries_payload(), start};
  for (int round = 0; round < 20'000; ++round) {
    const std::string& good = payloads[random.below(payloads.size())];
    std::vector<char> bad(good.begin(), good.end());
    for (std::uint64_t flips = 1 + random.below(3); flips > 0; --flips)
      bad[random.below(bad.size())] = static_cast<char>(random.next());
    const std::string_view payload(bad.data(), bad.size());
    const auto counted = count_outcomes(payload);
    const auto decoded = decode_outcomes(payload);
    EXPECT_EQ(counted.has_value(), decoded.has_value());
    if (counted && decoded) {
      EXPECT_EQ(*counted, decoded->size());
    }
    (void)decode_deliveries(payload);
    (void)decode_start(payload);
    (void)decode_ended(payload);
    (void)decode_server_hello(payload);
  }
}

}  // namespace
}  // namespace dhub::wire
