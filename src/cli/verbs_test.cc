// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <unistd.h>

#include "cli/fake_http_server.h"
#include "cli/program.h"

namespace dhub::cli {
namespace {

using Request = FakeHttpServer::Request;
using Reply = FakeHttpServer::Reply;

struct Ran {
  int exit = -1;
  std::string out;
  std::string err;
};

// The program as main() runs it, but against streams.
Ran run_program(std::vector<std::string> words, const std::string& url, const std::string& input = {},
                Environment environment = {}) {
  std::ostringstream out;
  std::ostringstream err;
  std::istringstream in(input);
  Console console{out, err, in, 80};
  if (!url.empty()) environment.emplace("DHUB_URL", url);
  environment.emplace("DHUB_DATA", "/nonexistent");
  const int exit = run(words, environment, console, {});
  return {exit, out.str(), err.str()};
}

Reply problem(int status, const std::string& title, const std::string& detail, const std::string& more = "") {
  return {status, R"({"title": ")" + title + R"(", "detail": ")" + detail + "\"" + more + "}", "",
          "application/problem+json"};
}

Reply not_found(const Request&) {
  return problem(404, "Not found", "There is no such thing.");
}

TEST(Verbs, AReplyOfEachKindHasItsExitCode) {
  for (const auto& [status, exit] : {std::pair{200, 0},
                                     {400, 1},
                                     {401, 4},
                                     {403, 4},
                                     {404, 3},
                                     {409, 5},
                                     {412, 5},
                                     {422, 1},
                                     {500, 1},
                                     {503, 1},
                                     {504, 6},
                                     {301, 1}}) {
    const FakeHttpServer server([status = status](const Request&) { return Reply{status, R"({"title": "t"})"}; });
    EXPECT_EQ(run_program({"pipelines", "delete", "x"}, server.url()).exit, exit) << status;
  }
}

TEST(Verbs, AnErrorSaysTitleDetailFieldsAndWhatToTry) {
  const FakeHttpServer server(
      [](const Request&) { return problem(404, "Not found", "There is no pipeline \\u001b[31mx."); });
  const Ran ran = run_program({"pipelines", "get", "x"}, server.url());
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "error: Not found: There is no pipeline x.\ntry: dhub pipelines list\n");
}

TEST(Verbs, AServerThatIsNotThereIsUnreachable) {
  std::string url;
  {
    const FakeHttpServer server(not_found);
    url = server.url();
  }
  const Ran ran = run_program({"pipelines", "list"}, url);
  EXPECT_EQ(ran.exit, 7);
  EXPECT_NE(ran.err.find("try: dhub serve"), std::string::npos) << ran.err;
  EXPECT_EQ(run_program({"pipelines", "list"}, "").exit, 7) << "no server.json";
}

TEST(Verbs, AServerThatDoesNotAnswerTimesOut) {
  std::promise<void> given_up;
  const FakeHttpServer server([&](const Request&) {
    given_up.get_future().wait();
    return Reply{};
  });
  const Ran ran = run_program({"pipelines", "list", "--request-timeout", "50ms"}, server.url());
  given_up.set_value();
  EXPECT_EQ(ran.exit, 6);
}

TEST(Verbs, ATokenIsSentAsABearer) {
  const FakeHttpServer server([](const Request&) { return Reply{200, R"({"items": []})"}; });
  EXPECT_EQ(run_program({"pipelines", "list"}, server.url(), "", {{"DHUB_TOKEN", "t0k"}}).exit, 0);
  EXPECT_NE(server.requests().at(0).head.find("Authorization: Bearer t0k\r\n"), std::string::npos);
}

TEST(Verbs, RedirectsAreNotFollowed) {
  const FakeHttpServer target([](const Request&) { return Reply{200, R"({"items": []})"}; });
  const FakeHttpServer server([&](const Request&) { return Reply{307, "{}", "Location: " + target.url() + "/\r\n"}; });
  EXPECT_EQ(run_program({"pipelines", "list"}, server.url(), "", {{"DHUB_TOKEN", "t0k"}}).exit, 1);
  EXPECT_TRUE(target.requests().empty());
}

TEST(Verbs, AListFollowsItsPagesAndSaysWhenThereIsMore) {
  const auto answer = [](const Request& request) {
    const bool second = request.target.find("token=next") != std::string::npos;
    return Reply{200, second ? R"({"items": [{"id": "b", "name": "B", "version": 1}], "token": "more"})"
                             : R"({"items": [{"id": "a", "name": "A", "version": 3}], "token": "next"})"};
  };
  const FakeHttpServer server(answer);
  const Ran ran = run_program({"pipelines", "list", "--limit", "2"}, server.url());
  EXPECT_EQ(ran.out,
            "ID  NAME  VERSION  EVENT  STEPS  CREATED\n"
            "a   A           3  -          0  -\n"
            "b   B           1  -          0  -\n");
  EXPECT_NE(ran.err.find("first 2"), std::string::npos);
  EXPECT_EQ(run_program({"pipelines", "list", "--limit", "1", "-o", "yaml"}, server.url()).out,
            "items:\n  - id: a\n    name: A\n    version: 3\n");
}

TEST(Verbs, WhatIsNotDhubIsSaidToBeSo) {
  const FakeHttpServer page([](const Request&) { return Reply{200, "<html>", "", "text/html"}; });
  EXPECT_NE(run_program({"pipelines", "list"}, page.url()).err.find("not a dhub server"), std::string::npos);
  const FakeHttpServer gateway([](const Request&) { return Reply{502, "<html>bad", "", "text/html"}; });
  const Ran ran = run_program({"pipelines", "list"}, gateway.url());
  EXPECT_EQ(ran.exit, 1);
  EXPECT_NE(ran.err.find("error: HTTP 502"), std::string::npos);
}

// Stands for the server's pipelines: `orders` is there in version 1 and changes, `same` does not change.
Reply pipelines_answer(const Request& request) {
  if (request.method == "POST") return {201, R"({"id": "made", "version": 1})"};
  if (request.target.ends_with("/new")) return not_found(request);
  const bool changed = request.method == "PUT" && request.target.ends_with("/orders");
  return {200, changed ? R"({"id": "orders", "version": 2, "running_version": 1})" : R"({"id": "same", "version": 1})"};
}

TEST(Apply, CreatesUpdatesAndLeavesAlone) {
  const FakeHttpServer server(pipelines_answer);
  const Ran ran = run_program({"pipelines", "apply", "-f", "-"}, server.url(),
                              "id: new\nname: N\n---\nid: orders\nname: O\nsteps: []\n---\nid: same\nname: S\n");
  EXPECT_EQ(ran.exit, 0);
  EXPECT_EQ(ran.out,
            "pipeline made created (version 1)\n"
            "pipeline orders updated (version 2)\n"
            "pipeline same unchanged (version 1)\n");
  EXPECT_EQ(ran.err, "note: its trigger still runs version 1; switch with: dhub events start orders\n");
}

TEST(Apply, SendsWhatTheFileSaysAndNothingThatTheServerSets) {
  const FakeHttpServer server(pipelines_answer);
  ASSERT_EQ(run_program({"pipelines", "apply", "-f", "-"}, server.url(),
                        R"({"id": "orders", "name": "O", "version": 7, "created_at": "x", "options": {"event": "t"}})")
                .exit,
            0);
  const Request put = server.requests().at(1);
  EXPECT_EQ(put.method, "PUT");
  EXPECT_EQ(put.body, R"({"id":"orders","name":"O","options":{"event":"t"},"steps":[],"metadata":{}})");
  EXPECT_NE(put.head.find("Content-Type: application/json\r\n"), std::string::npos);
}

TEST(Apply, AFileThatCannotBeReadSendsNothing) {
  const FakeHttpServer server(pipelines_answer);
  for (const char* text : {"id: a\n---\nid: b\nid: c\n", "- 1\n", "just text\n", "", "{\"id\": \"a\""}) {
    const Ran ran = run_program({"pipelines", "apply", "-f", "-"}, server.url(), text);
    EXPECT_EQ(ran.exit, 1) << text;
    EXPECT_NE(ran.err.find("standard input"), std::string::npos) << ran.err;
  }
  EXPECT_EQ(run_program({"pipelines", "apply", "-f", "/nonexistent/x.yaml"}, server.url()).exit, 1);
  EXPECT_EQ(run_program({"pipelines", "apply", "-f", "/tmp"}, server.url()).exit, 1);
  EXPECT_TRUE(server.requests().empty());
}

TEST(Apply, ARefusalNamesTheLineInTheFile) {
  const FakeHttpServer server([](const Request& request) {
    if (request.method == "GET") return not_found(request);
    return problem(422, "Invalid", "Two fields are wrong.",
                   R"(, "errors": [{"pointer": "/steps/0/script", "detail": "line 1: invalid syntax"}])");
  });
  const Ran ran = run_program({"pipelines", "apply", "-f", "-"}, server.url(),
                              "id: a\nname: A\nsteps:\n  - name: s\n    script: \"def\"\n");
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(ran.err,
            "error: Invalid: Two fields are wrong.\n"
            "  standard input:5: /steps/0/script: line 1: invalid syntax\n");
}

TEST(Apply, OneBadPipelineDoesNotHoldTheOthersBack) {
  const FakeHttpServer server([](const Request& request) {
    if (request.body.find("bad") != std::string::npos) return problem(422, "Invalid", "It is bad.");
    return pipelines_answer(request);
  });
  const Ran ran = run_program({"pipelines", "apply", "-f", "-", "-o", "json"}, server.url(),
                              "id: bad\nname: B\n---\nid: same\nname: S\n");
  EXPECT_EQ(ran.exit, 1);
  EXPECT_NE(ran.out.find("\"unchanged\""), std::string::npos);
  EXPECT_NE(ran.err.find("error: not everything was applied: 1 of 2 pipelines were."), std::string::npos);
}

TEST(Apply, WithoutAnIdItSaysThatEachTimeMakesAnother) {
  const FakeHttpServer server(pipelines_answer);
  const Ran ran = run_program({"pipelines", "apply", "-f", "-"}, server.url(), "name: N\n");
  EXPECT_EQ(ran.out, "pipeline made created (version 1)\n");
  EXPECT_NE(ran.err.find("add `id: made`"), std::string::npos);
}

TEST(Events, StartAsksForVersionAndPlaceAndTellsTheBacklog) {
  const FakeHttpServer server([](const Request&) {
    return Reply{200, R"({"message": "Event started successfully"})", "X-Backlog: 12\r\n"};
  });
  const Ran ran = run_program({"events", "start", "orders", "--version", "2", "--from", "earliest"}, server.url());
  EXPECT_EQ(ran.out, "Event started successfully\n");
  EXPECT_NE(ran.err.find("12 messages wait"), std::string::npos);
  EXPECT_EQ(server.requests().at(0).target, "/api/v1/events/orders?pipeline_version=2&from=earliest");
  EXPECT_EQ(server.requests().at(0).method, "POST");
}

TEST(Events, StartWithAGroupTellsWhetherItHadASay) {
  Guarded<std::string> position;
  const FakeHttpServer server([&](const Request&) {
    const std::string header = "X-Position: " + position.with([](const std::string& text) { return text; }) + "\r\n";
    return Reply{200, R"({"message": "Event started successfully"})", header + "X-Backlog: 12\r\n"};
  });
  position.with([](std::string& text) { text = "group"; });
  const Ran adopted =
      run_program({"events", "start", "orders", "--from", "committed", "--group", "a b&c"}, server.url());
  EXPECT_EQ(server.requests().at(0).target, "/api/v1/events/orders?from=committed&group=a%20b%26c");
  EXPECT_NE(adopted.err.find("where the group stood; 12 messages wait"), std::string::npos) << adopted.err;
  position.with([](std::string& text) { text = "own"; });
  const Ran kept = run_program({"events", "start", "orders", "--group", "billing"}, server.url());
  EXPECT_NE(kept.err.find("the group had no say"), std::string::npos) << kept.err;
  EXPECT_EQ(kept.exit, 0);
}

// A variable of a script that is not set must not come to mean the topic's end.
TEST(Events, AnEmptyGroupOrPlaceIsForTheServerToRefuse) {
  const FakeHttpServer server([](const Request&) { return problem(422, "Not acceptable", "No."); });
  EXPECT_EQ(run_program({"events", "start", "orders", "--group", ""}, server.url()).exit, 1);
  EXPECT_EQ(run_program({"events", "start", "orders", "--from", ""}, server.url()).exit, 1);
  EXPECT_EQ(server.requests().at(0).target, "/api/v1/events/orders?group=");
  EXPECT_EQ(server.requests().at(1).target, "/api/v1/events/orders?from=");
}

TEST(Events, AGroupThatIsNotFoundIsNotTakenForThePipeline) {
  const FakeHttpServer server(
      [](const Request&) { return problem(404, "Not found", "Group g has committed nothing."); });
  const Ran ran = run_program({"events", "start", "orders", "--group", "g"}, server.url());
  EXPECT_EQ(ran.exit, 3);
  EXPECT_NE(ran.err.find("Group g has committed nothing."), std::string::npos);
  EXPECT_EQ(ran.err.find("pipelines list"), std::string::npos) << ran.err;
}

TEST(Events, TheMissingOptionIsExplainedAndNotRetried) {
  const FakeHttpServer server([](const Request&) {
    return problem(500, "Event option missing", "Pipeline a has none.", R"(, "code": "event_option_missing")");
  });
  const Ran ran = run_program({"events", "start", "a"}, server.url());
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(server.requests().size(), 1u);
  EXPECT_NE(ran.err.find("try: dhub pipelines get a"), std::string::npos) << ran.err;
}

TEST(Events, WaitEndsWhenReady) {
  Guarded<int> asked;
  const FakeHttpServer server([&](const Request& request) {
    if (request.method == "POST") return Reply{200, R"({"message": "Event started successfully"})"};
    const int n = asked.with([](int& count) { return ++count; });
    return Reply{200, n < 3 ? R"({"ready": false, "etag": "e"})" : R"({"ready": true, "etag": "f"})"};
  });
  const Ran ran = run_program({"events", "start", "a", "--wait"}, server.url());
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_NE(ran.out.find("ready"), std::string::npos);
  EXPECT_NE(server.requests().at(2).target.find("seen=e"), std::string::npos);
}

TEST(Events, WaitGivesUpAndSaysWhatIsMissing) {
  const FakeHttpServer server([](const Request& request) {
    if (request.method == "POST") return Reply{200, R"({"message": "Event started successfully"})"};
    return Reply{200, R"({"ready": false, "etag": "e", "conditions": [{"type": "Source", "ok": true},
                 {"type": "Service", "ok": false, "reason": "ScriptFailed", "message": "no module x"}]})"};
  });
  const Ran ran = run_program({"events", "start", "a", "--wait", "--timeout", "100ms"}, server.url());
  EXPECT_EQ(ran.exit, 6);
  EXPECT_NE(ran.err.find("Service: ScriptFailed (no module x)"), std::string::npos) << ran.err;
  EXPECT_EQ(ran.err.find("Source"), std::string::npos);
}

TEST(Events, StatusTellsTheWholeCause) {
  const std::string cause = "The topic's cluster cannot be reached: " + std::string(200, 'x') + " the end";
  const FakeHttpServer server([&](const Request&) {
    return Reply{200, R"({"ready": false, "conditions": [{"type": "Source", "ok": false, "reason": "LogUnreachable",
                 "message": ")" +
                          cause + R"(", "next_action": "See that it runs."}]})"};
  });
  const Ran ran = run_program({"events", "status", "a"}, server.url());
  EXPECT_NE(ran.out.find("Source     no  LogUnreachable\nwhy: " + cause + "\ntry: See that it runs.\n"), ran.out.npos)
      << ran.out;
}

TEST(Events, ABadTimeoutIsUsage) {
  const FakeHttpServer server(not_found);
  EXPECT_EQ(run_program({"events", "start", "a", "--wait", "--timeout", "5"}, server.url()).exit, 2);
  EXPECT_TRUE(server.requests().empty());
}

TEST(Publish, ABareValueGoesAsItIs) {
  const FakeHttpServer server([](const Request&) {
    return Reply{202, R"({"messages": [{"partition": 0, "offset": 41}]})"};
  });
  for (const std::string value : {"{\"n\": 1}", "[1,2]", "{}", "", "-5", "a=b", "%%"}) {
    const Ran ran = run_program({"topics", "publish", "t", "--key", "a b&c", "--value", value}, server.url());
    EXPECT_EQ(ran.exit, 0) << value << ran.err;
    EXPECT_EQ(server.requests().back().body, value);
    EXPECT_EQ(server.requests().back().target, "/api/v1/topics/t/messages?key=a%20b%26c");
  }
  const std::string bytes("\0\xff\n", 3);
  const Ran ran = run_program({"topics", "publish", "t", "-"}, server.url(), bytes);
  EXPECT_EQ(server.requests().back().body, bytes);
  EXPECT_EQ(ran.out,
            "PARTITION  MESSAGES  FIRST OFFSET  LAST OFFSET\n        0         1            41           41\n");
}

TEST(Publish, HeadersGoInALine) {
  const FakeHttpServer server([](const Request&) { return Reply{202, R"({"messages": []})"}; });
  EXPECT_EQ(run_program({"topics", "publish", "t", "--header", "a=1", "--header", "b=x=y", "--key", "k", "-"},
                        server.url(), "\xff\xfe")
                .exit,
            0);
  EXPECT_EQ(server.requests().at(0).body,
            "{\"headers\":{\"a\":\"1\",\"b\":\"x=y\"},\"key\":\"k\",\"value_base64\":\"//4=\"}\n");
  EXPECT_NE(server.requests().at(0).head.find("application/x-ndjson"), std::string::npos);
  EXPECT_EQ(run_program({"topics", "publish", "t", "--header", "nothing", "--value", "v"}, server.url()).exit, 2);
}

TEST(Publish, LinesGoInBatchesThatFitARequest) {
  Guarded<int> offset;
  const FakeHttpServer server([&](const Request& request) {
    std::string items;
    for (const char c : request.body)
      if (c == '\n')
        items += (items.empty() ? "" : ",") +
                 fmt::format(R"({{"partition": 0, "offset": {}}})", offset.with([](int& next) { return next++; }));
    return Reply{202, R"({"messages": [)" + items + "]}"};
  });
  std::string lines;
  for (int i = 0; i < 25'000; ++i) lines += fmt::format("{{\"value\": {}}}\n\n", i);
  const Ran ran = run_program({"topics", "publish", "t", "--ndjson", "-"}, server.url(), lines);
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(server.requests().size(), 3u);
  EXPECT_NE(ran.out.find("25000"), std::string::npos) << ran.out;
  std::string sent;
  for (const Request& request : server.requests()) sent += request.body;
  EXPECT_EQ(std::count(sent.begin(), sent.end(), '\n'), 25'000);

  const std::string big(3U << 20, 'x');
  const std::string three = "\"" + big + "\"\n\"" + big + "\"\n\"" + big + "\"\n";
  EXPECT_EQ(run_program({"topics", "publish", "t", "--ndjson", "-"}, server.url(), three).exit, 0);
  EXPECT_EQ(server.requests().size(), 6u);
}

TEST(Publish, AFailureInTheMiddleSaysWhatIsPublished) {
  Guarded<int> asked;
  const FakeHttpServer server([&](const Request&) {
    if (asked.with([](int& count) { return ++count; }) > 1) return problem(507, "Storage full", "The disk is full.");
    return Reply{202, R"({"messages": [{"partition": 0, "offset": 0}]})"};
  });
  std::string lines;
  for (int i = 0; i < 10'001; ++i) lines += "{\"value\": 1}\n";
  const Ran ran = run_program({"topics", "publish", "t", "--ndjson", "-"}, server.url(), lines);
  EXPECT_EQ(ran.exit, 1);
  EXPECT_NE(ran.err.find("before line 10001 are published"), std::string::npos) << ran.err;
}

TEST(Publish, WithoutAMessageItIsUsage) {
  const FakeHttpServer server(not_found);
  EXPECT_EQ(run_program({"topics", "publish", "t"}, server.url()).exit, 2);
  EXPECT_EQ(run_program({"topics", "publish", "t", "file.json"}, server.url()).exit, 2);
  EXPECT_EQ(run_program({"topics", "publish", "t", "--ndjson", "--value", "1"}, server.url()).exit, 2);
  EXPECT_EQ(run_program({"topics", "publish", "t", "--ndjson", "--key", "1", "-"}, server.url()).exit, 2);
  EXPECT_EQ(run_program({"topics", "publish", "t", "--ndjson", "-"}, server.url(), "\n\n").exit, 1);
  EXPECT_TRUE(server.requests().empty());
}

TEST(Topics, ReadShowsMessagesAndKeepsTheirNumbersInJson) {
  const FakeHttpServer server([](const Request&) {
    return Reply{200, R"({"items": [{"partition": 0, "offset": 7, "timestamp": "T", "key": null,
                          "value": {"n": 12345678901234567890123}, "headers": {}}]})"};
  });
  const Ran table = run_program({"topics", "read", "t", "--offset", "7"}, server.url());
  EXPECT_NE(table.out.find("     7  T     -"), std::string::npos) << table.out;
  EXPECT_EQ(server.requests().at(0).target, "/api/v1/topics/t/messages?partition=0&offset=7&limit=50");
  EXPECT_NE(run_program({"topics", "read", "t", "-o", "json"}, server.url()).out.find("12345678901234567890123"),
            std::string::npos);
}

TEST(Topics, NamesAreEncoded) {
  const FakeHttpServer server(not_found);
  EXPECT_EQ(run_program({"topics", "get", "../secrets?x"}, server.url()).exit, 3);
  EXPECT_EQ(server.requests().at(0).target, "/api/v1/topics/..%2Fsecrets%3Fx");
  EXPECT_EQ(run_program({"topics", "delete", ".."}, server.url()).exit, 3);
  EXPECT_EQ(server.requests().at(1).target, "/api/v1/topics/%2E%2E");
}

TEST(Version, IsPrintedWithoutAServer) {
  EXPECT_EQ(run_program({"version"}, "").out.substr(0, 5), "dhub ");
  EXPECT_EQ(run_program({"version", "-o", "json"}, "").out.substr(0, 12), "{\"version\": ");
}

TEST(Output, ADiskThatIsFullIsNotASuccess) {
  const FakeHttpServer server([](const Request&) { return Reply{200, R"({"items": []})"}; });
  std::ofstream full("/dev/full");
  std::ostringstream err;
  std::istringstream in;
  Console console{full, err, in, 80};
  EXPECT_EQ(run({"pipelines", "list"}, {{"DHUB_URL", server.url()}}, console, {}), 1);
  EXPECT_NE(err.str().find("cannot write"), std::string::npos);
}

}  // namespace
}  // namespace dhub::cli
