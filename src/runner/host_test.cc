// SPDX-License-Identifier: Apache-2.0
#include "runner/host.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire/bytes.h"
#include "wire/deliveries.h"
#include "wire/frame.h"
#include "wire/messages.h"
#include "wire/outcomes.h"

namespace dhub::runner {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using wire::FrameType;

struct Received {
  FrameType type{};
  InstanceId instance{};
  std::string payload;
};

// A host in a child process, and the server's end of its socket.
class HostTest : public testing::Test {
 protected:
  HostTest() {
    std::string name = (std::filesystem::temp_directory_path() / "dhub-host-test-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    socket_ = ends[0];
    host_ = ::fork();
    if (host_ == 0) {
      ::close(ends[0]);
      ::_exit(run_host(ends[1]));
    }
    ::close(ends[1]);
  }
  ~HostTest() override {
    close_socket();
    if (host_ > 0) wait_exit();
    std::filesystem::remove_all(directory_);
  }

  void close_socket() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  int wait_exit() {
    int status = 0;
    ::waitpid(host_, &status, 0);
    host_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  void send(const std::string& bytes) {
    ASSERT_EQ(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  template <typename Encode>
  void send(FrameType type, std::uint64_t instance, Encode encode) {
    std::string out;
    const std::size_t began = wire::begin_frame(out, type, InstanceId{instance});
    encode(out);
    wire::end_frame(out, began);
    send(out);
  }
  void greet(wire::ProtocolRange range = {}) {
    send(FrameType::Hello, 0, [&](std::string& out) {
      wire::encode_hello(out, wire::ServerHello{range, 10min, DHUB_SOURCE_DIR "/python", directory_ + "/instances/1"});
    });
  }
  void start(std::uint64_t instance, const std::string& script, Duration timeout = 20s) {
    send(FrameType::Start, instance, [&](std::string& out) {
      wire::Start start;
      start.spec.pipeline_id = "p";
      start.spec.interpreter = "/usr/bin/python3";
      start.spec.timeout = timeout;
      start.spec.steps = {{"first", script, std::nullopt}};
      start.start_timeout = 20s;
      wire::encode_start(out, start);
    });
  }
  void deliver(std::uint64_t instance, const std::vector<std::uint64_t>& ids, const std::string& value = "x") {
    send(FrameType::Deliver, instance, [&](std::string& out) {
      wire::put(out, static_cast<std::uint32_t>(ids.size()));
      for (const std::uint64_t id : ids) {
        Delivery delivery;
        delivery.id = DeliveryId{id};
        delivery.topic = "topic";
        delivery.record.value = value;
        wire::encode_delivery(out, delivery, 0);
      }
    });
  }
  // The next frame; none when the host has closed its end, or says nothing for 30 s.
  std::optional<Received> next() {
    for (;;) {
      auto frame = in_.next();
      if (!frame) return std::nullopt;
      if (*frame) return Received{(*frame)->type, (*frame)->instance, std::string((*frame)->payload)};
      pollfd waiting{socket_, POLLIN, 0};
      if (::poll(&waiting, 1, 30'000) <= 0) return std::nullopt;
      const auto space = in_.space();
      const ssize_t got = ::read(socket_, space.data, space.size);
      if (got <= 0) return std::nullopt;
      in_.wrote(static_cast<std::size_t>(got));
    }
  }
  // The next frame that is no log.
  Received expect(FrameType type) {
    auto frame = next();
    while (frame && frame->type == FrameType::Log && type != FrameType::Log) frame = next();
    EXPECT_TRUE(frame.has_value());
    if (!frame) return {};
    EXPECT_EQ(static_cast<int>(frame->type), static_cast<int>(type));
    return *frame;
  }

  std::string directory_;
  int socket_ = -1;
  pid_t host_ = -1;
  wire::FrameBuffer in_;
};

TEST_F(HostTest, SaysHelloFirstAndNamesItsProtocol) {
  const auto hello = wire::decode_host_hello(expect(FrameType::Hello).payload);
  ASSERT_TRUE(hello.has_value());
  EXPECT_EQ(hello->protocol.oldest, wire::kOldestProtocol);
  EXPECT_EQ(hello->protocol.newest, wire::kNewestProtocol);
  EXPECT_FALSE(hello->name.empty());
}

TEST_F(HostTest, EndsWhenTheServerSpeaksNoCommonProtocol) {
  greet({40, 50});
  expect(FrameType::Hello);
  EXPECT_FALSE(next().has_value());
  EXPECT_EQ(wait_exit(), 1);
}

TEST_F(HostTest, EndsAtAFrameBeforeTheHello) {
  start(1, "def handle(event): pass");
  expect(FrameType::Hello);
  EXPECT_FALSE(next().has_value());
  EXPECT_EQ(wait_exit(), 1);
}

TEST_F(HostTest, EndsAtBytesThatAreNoFrame) {
  greet();
  send(std::string(64, '\xff'));
  expect(FrameType::Hello);
  EXPECT_FALSE(next().has_value());
  wait_exit();
}

TEST_F(HostTest, EndsWithTheServersEndOfTheSocket) {
  greet();
  start(1, "def handle(event): pass");
  expect(FrameType::Hello);
  expect(FrameType::Ready);
  close_socket();
  EXPECT_EQ(wait_exit(), 0);
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/instances/1"));
}

TEST_F(HostTest, PassesFramesThroughAndAnswersEveryDelivery) {
  greet();
  start(7, "def handle(event): pass");
  expect(FrameType::Hello);
  EXPECT_EQ(expect(FrameType::Ready).instance, InstanceId{7});
  deliver(7, {1, 2, 3});
  const auto outcomes = wire::decode_outcomes(expect(FrameType::Outcomes).payload);
  ASSERT_TRUE(outcomes.has_value());
  EXPECT_EQ(outcomes->size(), 3u);
  send(FrameType::Drain, 7, [](std::string&) {});
  const auto ended = wire::decode_ended(expect(FrameType::Ended).payload);
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(ended->reason, EndReason::Drained);
}

TEST_F(HostTest, IgnoresWhatIsForAnInstanceThatHasEnded) {
  greet();
  start(7, "syntax error here");
  expect(FrameType::Hello);
  EXPECT_EQ(wire::decode_ended(expect(FrameType::Ended).payload)->reason, EndReason::FailedToStart);
  deliver(7, {1});
  send(FrameType::Recall, 7, [](std::string&) {});
  send(FrameType::Drain, 7, [](std::string&) {});
  send(FrameType::Kill, 7, [](std::string&) {});
  start(8, "def handle(event): pass");
  EXPECT_EQ(expect(FrameType::Ready).instance, InstanceId{8});
}

TEST_F(HostTest, WhatItAnswersForABusyWorkerTheWorkerDoesNotAnswerAgain) {
  greet();
  const std::string go = directory_ + "/go";
  start(7, "import os, time\ndef handle(event):\n    os.write(1, b'begun')\n    while not os.path.exists('" + go +
               "'): time.sleep(0.001)\n");
  expect(FrameType::Hello);
  expect(FrameType::Ready);
  deliver(7, {1, 2, 3});
  deliver(7, {4});
  expect(FrameType::Log);
  const auto recalled = std::chrono::steady_clock::now();
  send(FrameType::Recall, 7, [](std::string&) {});
  const auto given_back = wire::decode_outcomes(expect(FrameType::Outcomes).payload);
  RecordProperty("microseconds", static_cast<int>((std::chrono::steady_clock::now() - recalled) / 1us));
  ASSERT_TRUE(given_back.has_value());
  std::vector<std::uint64_t> ids;
  for (const auto& each : *given_back) {
    EXPECT_EQ(each.outcome.kind, OutcomeKind::NotStarted);
    ids.push_back(each.outcome.delivery.value);
  }
  EXPECT_THAT(ids, testing::ElementsAre(2, 3, 4));
  deliver(7, {5});
  std::ofstream(go).put('x');
  ids.clear();
  while (ids.size() < 2) {
    const auto rest = wire::decode_outcomes(expect(FrameType::Outcomes).payload);
    ASSERT_TRUE(rest.has_value());
    for (const auto& each : *rest) {
      EXPECT_EQ(each.outcome.kind, OutcomeKind::Succeeded);
      ids.push_back(each.outcome.delivery.value);
    }
  }
  EXPECT_THAT(ids, testing::ElementsAre(1, 5));
}

TEST_F(HostTest, EndsAtASecondStartOfAnInstance) {
  greet();
  start(7, "def handle(event): pass");
  start(7, "def handle(event): pass");
  expect(FrameType::Hello);
  while (next()) {
  }
  EXPECT_EQ(wait_exit(), 1);
}

TEST_F(HostTest, SaysWhatAWorkerWritesPastPython) {
  greet();
  start(7, "import os\nos.write(1, b'raw text')\ndef handle(event): pass");
  // It may come before or after the word that the instance is ready.
  std::string text;
  while (text.empty()) {
    const auto frame = next();
    ASSERT_TRUE(frame.has_value());
    if (frame->type == FrameType::Log) text = frame->payload;
  }
  EXPECT_THAT(text, HasSubstr("raw text"));
}

TEST_F(HostTest, AWorkerThatWritesWithoutEndDoesNotFillTheServer) {
  greet();
  start(7, "import os\ndef handle(event):\n    block = b'x' * 65536\n    for i in range(320): os.write(1, block)\n");
  expect(FrameType::Hello);
  expect(FrameType::Ready);
  deliver(7, {1});
  std::size_t bytes = 0;
  for (auto frame = next(); frame && frame->type == FrameType::Log; frame = next()) bytes += frame->payload.size();
  // 20 MiB were written; 64 KiB a second are passed on.
  EXPECT_LE(bytes, 1u << 20);
}

TEST_F(HostTest, ManyInstancesAtOnceAllAnswer) {
  greet();
  expect(FrameType::Hello);
  constexpr std::uint64_t kMany = 24;
  for (std::uint64_t id = 1; id <= kMany; ++id) {
    start(id, "def handle(event): pass");
    deliver(id, {id * 10, id * 10 + 1});
  }
  std::size_t answered = 0;
  while (answered < 2 * kMany) {
    const auto frame = next();
    ASSERT_TRUE(frame.has_value());
    if (frame->type == FrameType::Outcomes) answered += wire::count_outcomes(frame->payload).value_or(0);
    ASSERT_NE(static_cast<int>(frame->type), static_cast<int>(FrameType::Ended));
  }
}

TEST_F(HostTest, AServerThatDoesNotReadHoldsTheWorkersBack) {
  greet();
  expect(FrameType::Hello);
  start(1, "def handle(event, context):\n    context.publish('out', b'x' * (1 << 20))\n");
  expect(FrameType::Ready);
  constexpr std::uint64_t kMany = 100;
  for (std::uint64_t id = 1; id <= kMany; ++id) deliver(1, {id});
  // The host stops reading at 16 MiB, so the worker waits in its write: more than that is never held.
  std::size_t answered = 0;
  std::size_t bytes = 0;
  while (answered < kMany) {
    const auto frame = next();
    ASSERT_TRUE(frame.has_value());
    ASSERT_EQ(static_cast<int>(frame->type), static_cast<int>(FrameType::Outcomes));
    bytes += frame->payload.size();
    answered += wire::count_outcomes(frame->payload).value_or(0);
  }
  EXPECT_GE(bytes, kMany << 20);
}

}  // namespace
}  // namespace dhub::runner
