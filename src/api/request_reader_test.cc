// SPDX-License-Identifier: Apache-2.0
#include "api/request_reader.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/test_seed.h"

namespace dhub::api {
namespace {

Limits small_limits() {
  Limits limits;
  limits.body = 100;
  limits.header = 1000;
  limits.uri = 100;
  limits.headers = 10;
  return limits;
}

struct Read {
  ReadState state = ReadState::NeedMore;
  Request request;
  int failure = 0;
  bool keep_alive = false;
  std::string rest;
};

// Feeds `step` bytes more at a time.
Read read(const std::string& bytes, std::size_t step = 100'000, const Limits& limits = small_limits()) {
  RequestReader reader(limits);
  Read out;
  std::string input;
  std::size_t sent = 0;
  while (true) {
    std::string_view view = input;
    out.state = reader.feed(view);
    input.erase(0, input.size() - view.size());
    if (out.state == ReadState::HeadDone) continue;
    if (out.state != ReadState::NeedMore || sent == bytes.size()) break;
    const auto next = std::min(step, bytes.size() - sent);
    input += bytes.substr(sent, next);
    sent += next;
  }
  if (out.state == ReadState::Failed) out.failure = reader.failure().status;
  out.keep_alive = reader.keep_alive();
  out.request = reader.request();
  out.rest = input + bytes.substr(sent);
  return out;
}

constexpr const char* kHost = "Host: localhost\r\n";

TEST(RequestReader, ReadsARequestHoweverItsBytesArrive) {
  const std::string bytes = std::string("PUT /a/b%2Fc/?x=1&y=a+b%26&z HTTP/1.1\r\n") + kHost +
                            "X-Thing:  v  \r\nContent-Length: 5\r\n\r\nhelloGET /next";
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    const Read got = read(bytes, step);
    ASSERT_EQ(got.state, ReadState::Done) << step << ": " << got.failure;
    EXPECT_EQ(got.request.method, Method::Put);
    EXPECT_EQ(got.request.path, "/a/b%2Fc/");
    EXPECT_EQ(got.request.segments, (std::vector<std::string>{"a", "b/c"}));
    EXPECT_EQ(got.request.query, (std::vector<NameValue>{{"x", "1"}, {"y", "a b&"}, {"z", ""}}));
    EXPECT_EQ(got.request.headers,
              (std::vector<NameValue>{{"host", "localhost"}, {"x-thing", "v"}, {"content-length", "5"}}));
    EXPECT_EQ(got.request.body, "hello");
    EXPECT_EQ(got.rest, "GET /next");
    EXPECT_TRUE(got.keep_alive);
  }
}

TEST(RequestReader, ReadsChunksWithExtensionsAndTrailers) {
  const std::string bytes = std::string("POST / HTTP/1.1\r\n") + kHost +
                            "Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n6;a=b;c=\"d\"\r\n world\r\n0\r\n"
                            "Authorization: late\r\n\r\nrest";
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    const Read got = read(bytes, step);
    ASSERT_EQ(got.state, ReadState::Done) << step << ": " << got.failure;
    EXPECT_EQ(got.request.body, "hello world");
    EXPECT_FALSE(*got.request.header("authorization")) << "a trailer must not pass as a header";
    EXPECT_EQ(got.rest, "rest");
  }
}

TEST(RequestReader, SkipsEmptyLinesBeforeARequest) {
  EXPECT_EQ(read(std::string("\r\n\r\nGET / HTTP/1.1\r\n") + kHost + "\r\n", 1).state, ReadState::Done);
}

// Each could be two different requests to two different readers.
// A stray space makes the rest of the line the version, which is then one that nobody speaks.
TEST(RequestReader, RefusesALineWhoseVersionIsNone) {
  for (const char* line : {"GET / HTTP/1.1 ", "GET /a b HTTP/1.1"}) {
    const Read got = read(std::string(line) + "\r\nHost: localhost\r\n\r\n", 100'000);
    EXPECT_EQ(got.failure, 505) << line;
  }
}

TEST(RequestReader, RefusesAmbiguousFraming) {
  const std::string post = std::string("POST / HTTP/1.1\r\n") + kHost;
  const std::vector<std::string> cases{
      post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
      post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
      post + "Content-Length: 5, 5\r\n\r\nhello",
      post + "Content-Length: +5\r\n\r\nhello",
      post + "Content-Length: -5\r\n\r\nhello",
      post + "Content-Length: 0x5\r\n\r\nhello",
      post + "Content-Length: 5 5\r\n\r\nhello",
      post + "Content-Length:\r\n\r\n",
      post + "Content-Length: 99999999999999999999999\r\n\r\nhello",
      post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
      post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      post + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
      post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
      post + "Transfer-Encoding: identity\r\n\r\n",
      post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
      post + " Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      post + "X: a\r\n\tTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      post + "X: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      post + "X: a\rY: b\r\n\r\n",
      post + std::string("X: a\0b\r\n\r\n", 11),
      post + "X\r\n\r\n",
      post + ": x\r\n\r\n",
      post + "X y: z\r\n\r\n",
      "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "GET / HTTP/1.1\nHost: localhost\n\n",
      "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
      "GET / HTTP/1.1\r\n\r\n",
      "GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET /?a=%z HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET relative HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET http://evil/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET /\r\nHost: localhost\r\n\r\n",
      "\x16\x03\x01\x02\x01\r\n\r\n",
  };
  for (const auto& bytes : cases)
    for (const std::size_t step : {std::size_t{1}, std::size_t{100'000}}) {
      const Read got = read(bytes, step);
      EXPECT_EQ(got.state, ReadState::Failed) << bytes;
      EXPECT_EQ(got.failure, 400) << bytes;
    }
}

TEST(RequestReader, RefusesBrokenChunks) {
  const std::string post = std::string("POST / HTTP/1.1\r\n") + kHost + "Transfer-Encoding: chunked\r\n\r\n";
  for (const std::string body : {"x\r\n\r\n", "-1\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n",
                                 "5;a\nb\r\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "FFFFFFFFFFFFFFFFF\r\n",
                                 "0\r\nContent-Length: 5\r\n\r\n", "0\r\nX : y\r\n\r\n", " 5\r\nhello\r\n0\r\n\r\n"})
    for (const std::size_t step : {std::size_t{1}, std::size_t{100'000}}) {
      const Read got = read(post + body, step);
      EXPECT_EQ(got.state, ReadState::Failed) << body;
      EXPECT_EQ(got.failure, 400) << body;
    }
  EXPECT_EQ(read(post + "5;" + std::string(1 << 20, 'a'), 1000).failure, 400);
  EXPECT_EQ(read(post + "0\r\nX: " + std::string(1 << 20, 'a'), 1000).failure, 400);
}

TEST(RequestReader, RefusesWhatIsTooLarge) {
  const std::string post = std::string("POST / HTTP/1.1\r\n") + kHost;
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(read(post + "Content-Length: 101\r\n\r\n").failure, 413);
  EXPECT_EQ(read(post + "Content-Length: 100\r\n\r\n" + std::string(100, 'x')).state, ReadState::Done);
  EXPECT_EQ(read(chunked + "64\r\n" + std::string(100, 'x') + "\r\n0\r\n\r\n").state, ReadState::Done);
  EXPECT_EQ(read(chunked + "64\r\n" + std::string(100, 'x') + "\r\n1\r\nx\r\n0\r\n\r\n").failure, 413);
  EXPECT_EQ(read(chunked + "FFFFFFFFFFFFFFFF\r\n").failure, 413);
  EXPECT_EQ(read("GET /" + std::string(100, 'x') + " HTTP/1.1\r\n" + kHost + "\r\n").failure, 414);
  EXPECT_EQ(read("GET /" + std::string(99, 'x') + " HTTP/1.1\r\n" + kHost + "\r\n").state, ReadState::Done);
  EXPECT_EQ(read("GET /" + std::string(100'000, 'x'), 1000).failure, 414) << "before the end of the line";
  EXPECT_EQ(read(post + "X: " + std::string(100'000, 'x'), 1000).failure, 431) << "before the end of the head";
  EXPECT_EQ(read(post + "X: " + std::string(1000, 'x') + "\r\n\r\n").failure, 431);
  std::string many = post;
  for (int i = 0; i < 10; ++i) many += "X: y\r\n";
  EXPECT_EQ(read(many + "\r\n").failure, 431);
}

TEST(RequestReader, AFailureStillKnowsThePath) {
  EXPECT_EQ(read(std::string("POST /a?b HTTP/1.1\r\n") + kHost + "Content-Length: 101\r\n\r\n").request.path, "/a");
}

TEST(RequestReader, KnowsOtherVersionsAndExpectations) {
  EXPECT_EQ(read(std::string("GET / HTTP/2.0\r\n") + kHost + "\r\n").failure, 505);
  EXPECT_EQ(read("GET / HTTP/1.0\r\n\r\n").state, ReadState::Done);
  EXPECT_FALSE(read("GET / HTTP/1.0\r\n\r\n").keep_alive);
  EXPECT_TRUE(read("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep_alive);
  EXPECT_FALSE(read(std::string("GET / HTTP/1.1\r\n") + kHost + "Connection: close\r\n\r\n").keep_alive);
  EXPECT_EQ(read(std::string("GET / HTTP/1.1\r\n") + kHost + "Expect: magic\r\n\r\n").failure, 417);
}

TEST(RequestReader, TakesTheAbsoluteFormWhenHostAgrees) {
  const Read got = read("GET http://LocalHost/a?b=c HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_EQ(got.state, ReadState::Done) << got.failure;
  EXPECT_EQ(got.request.path, "/a");
}

TEST(RequestReader, ShowsHostilePathsAsPrintableText) {
  const Read got = read(std::string("GET /\xc3\xa4\xff HTTP/1.1\r\n") + kHost + "\r\n");
  EXPECT_TRUE(got.state == ReadState::Failed || got.request.path == "/%C3%A4%FF") << got.request.path;
}

TEST(RequestReader, ReadsOneRequestAfterAnother) {
  const Limits limits = small_limits();
  RequestReader reader(limits);
  const std::string one = std::string("POST / HTTP/1.1\r\n") + kHost + "Content-Length: 1\r\n\r\nx";
  const std::string bytes = one + one + one;
  std::string_view view = bytes;
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(reader.begun());
    EXPECT_EQ(reader.feed(view), ReadState::HeadDone);
    if (i == 1) reader.discard_body();
    EXPECT_EQ(reader.feed(view), ReadState::Done);
    EXPECT_EQ(reader.request().body, i == 1 ? "" : "x");
    reader.reset();
  }
  EXPECT_TRUE(view.empty());
}

// Whatever comes: no crash, bounded memory, and the same answer however it is cut.
TEST(RequestReader, SurvivesRandomBytes) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  const std::vector<std::string> pieces{"GET ",
                                        "POST ",
                                        "/",
                                        "/a?b=c",
                                        " HTTP/1.1",
                                        "\r\n",
                                        "\r\n\r\n",
                                        "\n",
                                        "\r",
                                        kHost,
                                        "Content-Length: 5\r\n",
                                        "Transfer-Encoding: chunked\r\n",
                                        "5\r\nhello\r\n",
                                        "0\r\n\r\n",
                                        "0\r\n",
                                        ": ",
                                        "X",
                                        "\xff",
                                        std::string(1, '\0'),
                                        " ",
                                        "hello",
                                        "Expect: 100-continue\r\n",
                                        "Connection: close\r\n",
                                        ";a=b",
                                        "%41",
                                        "%"};
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = random.below(2) == 0 ? "" : std::string("POST / HTTP/1.1\r\n") + kHost;
    for (auto n = random.below(12); n > 0; --n) bytes += pieces[random.below(pieces.size())];
    const Read whole = read(bytes);
    const Read cut = read(bytes, 1 + random.below(5));
    ASSERT_EQ(whole.state, cut.state) << bytes;
    if (whole.state == ReadState::Done) {  // until then a part of the body may have been taken or not
      ASSERT_EQ(whole.request.body, cut.request.body) << bytes;
      ASSERT_EQ(whole.rest, cut.rest) << bytes;
    }
  }
}

}  // namespace
}  // namespace dhub::api
