// SPDX-License-Identifier: Apache-2.0
#include "api/http_session.h"

#include <gmock/gmock.h>
#include <list>
#include <thread>

#include "api/fake_client.h"

namespace dhub::api {
namespace {

using testing::HasSubstr;

class SessionTest : public FakeWorld {
 protected:
  static std::string get_text(std::string_view path) { return request_text("GET", path); }

  // Until the metrics say so; false when they still do not after long.
  bool is_told(std::string_view line) {
    const Instant patience = read_clocks().mono + std::chrono::seconds(20);
    while (read_clocks().mono < patience) {
      if (metrics.render().find(fmt::format("\n{}\n", line)) != std::string::npos) return true;
      std::this_thread::yield();
    }
    return false;
  }
  // Of connections that were seen before.
  bool all_closed() { return is_told("dhub_http_connections 0"); }
};

TEST_F(SessionTest, AConnectionServesOneRequestAfterAnother) {
  FakeClient client(port());
  for (const char* path : {"/healthz", "/nowhere", "/version"}) {
    ASSERT_TRUE(client.send(get_text(path)));
    const FakeAnswer answer = client.read_answer();
    EXPECT_EQ(answer.status, std::string_view(path) == "/nowhere" ? 404 : 200);
    EXPECT_EQ(answer.header("connection"), "");
  }
}

TEST_F(SessionTest, EveryAnswerKeepsItsContentFromBeingGuessedOrStored) {
  for (const char* path : {"/healthz", "/nowhere"}) {
    const FakeAnswer answer = call("GET", path);
    EXPECT_EQ(answer.header("x-content-type-options"), "nosniff");
    EXPECT_EQ(answer.header("cache-control"), "no-store");
    EXPECT_THAT(answer.header("date"), testing::MatchesRegex("[A-Z][a-z]+, .* GMT"));
  }
}

TEST_F(SessionTest, PipelinedRequestsAreAnsweredInOrderThoughTheFirstIsSlow) {
  log.add("orders");
  log.hold();
  FakeClient client(port());
  client.send(get_text("/api/v1/topics/orders") + request_text("POST", "/api/v1/events/nobody", "{}") +
              get_text("/version"));
  log.wait_asked(1);
  log.release();
  EXPECT_EQ(client.read_answer().status, 200);
  EXPECT_EQ(client.read_answer().status, 404);
  EXPECT_EQ(client.read_answer().body, R"({"version":"1.2.3"})");
}

TEST_F(SessionTest, ManyPipelinedRequestsAreAllAnswered) {
  FakeClient client(port());
  std::string all;
  for (int i = 0; i < 2000; ++i) all += get_text("/version");
  std::jthread sender([&] { client.send(all); });
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(client.read_answer().whole) << i;
}

TEST_F(SessionTest, BytesMayComeOneByOne) {
  FakeClient client(port());
  for (const char byte : request_text("POST", "/api/v1/topics/in/messages", "abc")) client.send({&byte, 1});
  EXPECT_EQ(client.read_answer().status, 202);
  EXPECT_EQ(log.published.back().messages[0].value, "abc");
}

TEST_F(SessionTest, ABodyInChunksIsTakenAsOne) {
  FakeClient client(port());
  const std::string head =
      "POST /api/v1/topics/in/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer dhub_secret\r\n"
      "Transfer-Encoding: chunked\r\n\r\n";
  for (const char* piece : {"3\r\nabc\r\n", "1;a=b\r\nd", "\r\n0\r", "\nX-Trailer: no\r\n\r\n"})
    client.send(piece == std::string_view("3\r\nabc\r\n") ? head + piece : piece);
  EXPECT_EQ(client.read_answer().status, 202);
  EXPECT_EQ(log.published.back().messages[0].value, "abcd");
  client.send(get_text("/version"));
  EXPECT_EQ(client.read_answer().status, 200) << "the next request begins behind the trailers";
}

TEST_F(SessionTest, HeadAnswersWhatGetWouldWithoutItsBody) {
  catalog.add("orders");
  FakeClient client(port());
  for (const char* path : {"/api/v1/pipelines/orders", "/healthz", "/nowhere"}) {
    client.send(get_text(path));
    const FakeAnswer with_body = client.read_answer();
    client.send(request_text("HEAD", path));
    const FakeAnswer without = client.read_answer(true);
    EXPECT_EQ(without.status, with_body.status) << path;
    for (const char* name : {"content-length", "content-type", "etag"})
      EXPECT_EQ(without.header(name), with_body.header(name)) << path << name;
  }
  client.send(get_text("/healthz"));
  EXPECT_EQ(client.read_answer().body, R"({"status":"ok"})") << "no bytes were left over";
}

TEST_F(SessionTest, AClientThatSaysSoIsClosedAfterItsAnswer) {
  FakeClient client(port());
  client.send(request_text("GET", "/healthz", "", {{"Connection", "close"}}) + get_text("/version"));
  const FakeAnswer answer = client.read_answer();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("connection"), "close");
  EXPECT_TRUE(client.is_closed()) << "what was sent behind it is not answered";
}

TEST_F(SessionTest, HttpOneZeroClosesUnlessAskedNotTo) {
  FakeClient once(port());
  once.send("GET /healthz HTTP/1.0\r\n\r\n");
  EXPECT_EQ(once.read_answer().header("connection"), "close");
  EXPECT_TRUE(once.is_closed());
  FakeClient more(port());
  for (int i = 0; i < 2; ++i) {
    more.send("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(more.read_answer().header("connection"), "keep-alive");
  }
}

TEST_F(SessionTest, ABodyIsAskedForOnlyWhenItIsWanted) {
  FakeClient client(port());
  const std::string text = request_text("POST", "/api/v1/topics/in/messages", "abc", {{"Expect", "100-continue"}});
  client.send(text.substr(0, text.size() - 3));
  EXPECT_EQ(client.read_answer().status, 100);
  client.send("abc");
  EXPECT_EQ(client.read_answer().status, 202);

  for (const auto& [target, headers, status] :
       {std::tuple<const char*, Headers, int>{"/api/v1/topics/in/messages", nobody(), 401},
        {"/nowhere", {}, 404},
        {"/version", {}, 405}}) {
    Headers expecting = headers;
    expecting["Expect"] = "100-Continue";
    const std::string refused = request_text("POST", target, "abc", expecting);
    FakeClient other(port());
    other.send(refused.substr(0, refused.size() - 3));
    const FakeAnswer answer = other.read_answer();
    EXPECT_EQ(answer.status, status) << target;
    EXPECT_EQ(answer.header("connection"), "close") << "the client may or may not send its body";
    EXPECT_TRUE(other.is_closed());
  }
}

TEST_F(SessionTest, ABodyThatCameAnywayAsksForNothing) {
  FakeClient client(port());
  client.send(request_text("POST", "/api/v1/topics/in/messages", "abc", {{"Expect", "100-continue"}}));
  FakeAnswer answer = client.read_answer();
  if (answer.status == 100) answer = client.read_answer();
  EXPECT_EQ(answer.status, 202);
}

TEST_F(SessionTest, ARefusedRequestsBodyIsReadAndTheConnectionKept) {
  FakeClient client(port());
  client.send(request_text("POST", "/api/v1/pipelines", std::string(500'000, 'x'), nobody()) + get_text("/version"));
  EXPECT_EQ(client.read_answer().status, 401);
  EXPECT_EQ(client.read_answer().status, 200);
}

TEST_F(SessionTest, WhatIsNoHttpIsToldOnceAndClosed) {
  const std::string next = get_text("/version");
  struct Case {
    std::string bytes;
    int status;
    const char* code;
  };
  for (const Case& one :
       {Case{"\x16\x03\x01 hello\r\n\r\n", 400, "malformed"},
        {"GET /healthz\r\n\r\n", 400, "malformed"},
        {"GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n", 505, "http_version"},
        {"GET /healthz HTTP/1.1\r\n\r\n", 400, "malformed"},
        {"GET /healthz HTTP/1.1\nHost: a\n\n", 400, "malformed"},
        {"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "malformed"},
        {"GET /healthz HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n", 400, "malformed"},
        {"GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n", 400, "malformed"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400, "malformed"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400, "malformed"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
         "malformed"},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, "malformed"},
        {"GET healthz HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed"},
        {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed"},
        {"GET /%g0 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed"},
        {"GET / HTTP/1.1\r\nHost: a\r\nExpect: money\r\n\r\n", 417, "expectation_failed"}}) {
    FakeClient client(port());
    client.send(one.bytes + next);
    const FakeAnswer answer = client.read_answer();
    EXPECT_EQ(answer.status, one.status) << one.bytes;
    EXPECT_EQ(answer.code(), one.code) << one.bytes;
    EXPECT_EQ(answer.header("connection"), "close") << one.bytes;
    EXPECT_TRUE(client.is_closed()) << "what follows may be part of the attack: " << one.bytes;
  }
}

TEST_F(SessionTest, WhatIsTooLargeNamesItsLimitAndIsClosed) {
  options.limits.body = 1000;
  options.limits.header = 2000;
  options.limits.uri = 500;
  options.limits.headers = 20;
  std::string many = "GET /healthz HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 20; ++i) many += fmt::format("X-{}: 1\r\n", i);
  const std::string post = "POST /api/v1/topics/in/messages HTTP/1.1\r\nHost: a\r\n";
  struct Case {
    std::string bytes;
    int status;
    const char* limit;
  };
  for (const Case& one :
       {Case{many + "\r\n", 431, "`headers`"},
        {"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + std::string(2000, 'x') + "\r\n\r\n", 431, "`header`"},
        {"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + std::string(3000, 'x'), 431, "`header`"},
        {"GET /" + std::string(500, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414, "`uri`"},
        {"GET /" + std::string(700, 'x'), 414, "`uri`"},
        {post + "Content-Length: 1001\r\n\r\n", 413, "`body`"},
        {post + "Content-Length: 99999999999999999999999\r\n\r\n", 400, "Content-Length"},
        {post + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + std::string(1001, 'x') + "\r\n0\r\n\r\n", 413,
         "`body`"}}) {
    FakeClient client(port());
    client.send(one.bytes);
    const FakeAnswer answer = client.read_answer();
    EXPECT_EQ(answer.status, one.status) << one.bytes;
    EXPECT_THAT(answer.body, HasSubstr(one.limit)) << one.bytes;
    EXPECT_TRUE(client.is_closed()) << one.bytes;
  }
  EXPECT_EQ(
      send(post + "Authorization: Bearer dhub_secret\r\nContent-Length: 1000\r\n\r\n" + std::string(1000, 'x')).status,
      202)
      << "what just fits";
}

TEST_F(SessionTest, ALargeBodyThatIsRefusedEarlyIsReadOnSoThatItsAnswerArrives) {
  FakeClient client(port());
  client.send("POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n");
  const FakeAnswer answer = client.read_answer();
  EXPECT_EQ(answer.code(), "too_large");
  EXPECT_TRUE(client.is_closed()) << "it says no more, and still listens";
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(client.send(std::string(10'000, 'x'))) << "a reset would take the answer away";
}

TEST_F(SessionTest, AHeadThatDoesNotEndIsToldAndClosed) {
  options.deadlines.head = milliseconds(50);
  FakeClient client(port());
  client.send("GET /healthz HTTP/1.1\r\nHost: a\r\n");
  const FakeAnswer answer = client.read_answer();
  EXPECT_EQ(answer.status, 408);
  EXPECT_EQ(answer.code(), "request_timeout");
  EXPECT_TRUE(client.is_closed());
}

TEST_F(SessionTest, ABodyThatDoesNotComeIsToldAndClosed) {
  options.deadlines.body = milliseconds(50);
  const std::string text = request_text("POST", "/api/v1/topics/in/messages", "abc");
  FakeClient client(port());
  client.send(text.substr(0, text.size() - 1));
  const FakeAnswer answer = client.read_answer();
  EXPECT_EQ(answer.status, 408);
  EXPECT_EQ(answer.json().at("instance").as_string(), "/api/v1/topics/in/messages");
  EXPECT_TRUE(client.is_closed());
  EXPECT_THAT(log.published, testing::IsEmpty());
}

TEST_F(SessionTest, WhoSaysNothingIsClosedWithoutAWord) {
  options.deadlines.head = milliseconds(50);
  options.deadlines.idle = milliseconds(50);
  FakeClient silent(port());
  EXPECT_TRUE(silent.is_closed());
  FakeClient served(port());
  served.send(get_text("/healthz"));
  EXPECT_EQ(served.read_answer().status, 200);
  EXPECT_TRUE(served.is_closed());
}

TEST_F(SessionTest, ACallThatIsHandledHasNoDeadlineOfReading) {
  options.deadlines.head = options.deadlines.body = options.deadlines.idle = milliseconds(20);
  triggers.keep = true;
  catalog.add("orders");
  FakeClient waiting(port());
  waiting.send(get_text("/api/v1/events/orders/status?wait=60s&seen=e"));
  triggers.wait_for_kept(1);
  FakeClient silent(port());
  EXPECT_TRUE(silent.is_closed()) << "a deadline as short has passed";
  triggers.answer_kept();
  EXPECT_EQ(waiting.read_answer().status, 200);
}

TEST_F(SessionTest, WhoTakesNoAnswersIsClosed) {
  options.deadlines.write = milliseconds(50);
  log.add("in");
  for (int i = 0; i < 8; ++i) log.messages["in"].push_back({{}, {}, std::string(1 << 20, 'x'), WallTime{1}});
  FakeClient client(port(), 4096);
  client.send(get_text("/api/v1/topics/in/messages"));
  ASSERT_TRUE(
      is_told(R"(dhub_http_requests_total{method="GET",route="/api/v1/topics/{topic}/messages",status="200"} 1)"));
  EXPECT_TRUE(all_closed());
}

TEST_F(SessionTest, AClientThatHasFinishedSendingIsStillAnswered) {
  log.add("orders");
  log.hold();
  FakeClient client(port());
  client.send(get_text("/api/v1/topics/orders"));
  client.finish_sending();
  log.wait_asked(1);
  log.release();
  EXPECT_EQ(client.read_answer().status, 200);
  EXPECT_TRUE(client.is_closed());
}

TEST_F(SessionTest, AWaitEndsWithItsConnection) {
  triggers.keep = true;
  catalog.add("orders");
  const std::string wait = get_text("/api/v1/events/orders/status?wait=60s&seen=e");
  {
    std::list<FakeClient> clients;
    for (int i = 0; i < 50; ++i) clients.emplace_back(port()).send(wait);
    triggers.wait_for_kept(50);
  }
  triggers.wait_for_no_waits();
  EXPECT_TRUE(all_closed());
}

TEST_F(SessionTest, WhatIsSentBehindAWaitIsAnsweredAfterIt) {
  triggers.keep = true;
  catalog.add("orders");
  FakeClient client(port());
  client.send(get_text("/api/v1/events/orders/status?wait=60s&seen=e"));
  triggers.wait_for_kept(1);
  client.send(get_text("/version"));
  EXPECT_EQ(call("GET", "/healthz").status, 200);
  triggers.answer_kept();
  EXPECT_EQ(client.read_answer().status, 200);
  EXPECT_EQ(client.read_answer().body, R"({"version":"1.2.3"})");
}

TEST_F(SessionTest, AnAnswerToNobodyHarmsNobody) {
  triggers.keep = true;
  catalog.add("orders");
  for (int i = 0; i < 3; ++i) FakeClient(port()).send(request_text("POST", "/api/v1/events/orders/pause"));
  triggers.wait_for_kept(3);
  triggers.answer_kept();
  EXPECT_TRUE(all_closed());
  EXPECT_EQ(call("GET", "/healthz").status, 200);
}

TEST_F(SessionTest, StoppingAnswersWhatHasBegunAndClosesWhatHasNot) {
  log.add("orders");
  log.hold();
  FakeClient idle(port());
  idle.send(get_text("/healthz"));
  EXPECT_EQ(idle.read_answer().status, 200);
  FakeClient busy(port());
  busy.send(get_text("/api/v1/topics/orders"));
  log.wait_asked(1);
  // Longer than a client waits, so that it is not the deadline that closes.
  std::jthread stopping([&] { server->stop(std::chrono::seconds(60)); });
  EXPECT_TRUE(idle.is_closed());
  log.release();
  // Whether it says that the connection ends depends on when its session has heard of it.
  EXPECT_EQ(busy.read_answer().status, 200);
  EXPECT_TRUE(busy.is_closed());
}

TEST_F(SessionTest, AnswersAfterTheEndGoNowhere) {
  triggers.keep = true;
  catalog.add("orders");
  FakeClient client(port());
  client.send(request_text("POST", "/api/v1/events/orders/pause"));
  triggers.wait_for_kept(1);
  server.reset();
  EXPECT_TRUE(client.is_closed());
  triggers.answer_kept();
}

}  // namespace
}  // namespace dhub::api
