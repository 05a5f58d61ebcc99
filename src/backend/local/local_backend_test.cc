// SPDX-License-Identifier: Apache-2.0
#include "backend/local/local_backend.h"

#include "backend/local/test_backend.h"

namespace dhub::local {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

std::string value_of(const Publication& publication) {
  return publication.message.value.value_or("<null>");
}

void publish_result(InstanceSpec& spec) {
  spec.steps.back().result_topic = "out";
}

// What the expression is in a step that sees the event, as JSON.
std::string seen(TestBackend& t, const std::string& expression, const TestEvent& event) {
  const auto id = t.start_ready({"def handle(event, context):\n    return [" + expression + "]"}, publish_result);
  const Outcome& outcome = t.run(id, event);
  EXPECT_EQ(outcome.kind, OutcomeKind::Succeeded) << outcome.error << outcome.trace;
  return outcome.publications.empty() ? "" : value_of(outcome.publications[0]);
}

TEST(LocalBackend, RunsAnEventAndPublishesItsResultWithTheEventsKey) {
  TestBackend t;
  const auto id = t.start_ready({"def handle(event):\n    return {'n': event.data['n'] + 1}"}, publish_result);
  const Outcome& outcome = t.run(id, {R"({"n": 41})", "k1"});
  EXPECT_EQ(outcome.kind, OutcomeKind::Succeeded) << outcome.error << outcome.trace;
  ASSERT_EQ(outcome.publications.size(), 1u);
  EXPECT_EQ(outcome.publications[0].topic, "out");
  EXPECT_EQ(value_of(outcome.publications[0]), R"({"n":42})");
  EXPECT_EQ(outcome.publications[0].message.key, "k1");
  EXPECT_TRUE(outcome.log.empty());
  EXPECT_TRUE(outcome.error.empty());
}

TEST(LocalBackend, GivesTheEventsAttributesToAStep) {
  TestBackend t;
  EXPECT_EQ(seen(t, "event.topic, event.partition, event.offset, event.timestamp, event.key, event.value.decode()",
                 {"text", "k"}),
            R"(["orders-topic",0,101,1700000000123,"k","text"])");
  EXPECT_EQ(seen(t, "event.id, event.source, event.type, event.subject, event.time", {"x"}),
            R"(["orders-topic/0/102",null,null,null,"2023-11-14T22:13:20.123Z"])");
  EXPECT_EQ(seen(t, "event.id, event.type, event.headers['ce_type'], event.headers['none']",
                 {"x", std::nullopt, {{"ce_id", "77"}, {"ce_type", "order.made"}, {"none", std::nullopt}}}),
            R"(["77","order.made","order.made",null])");
  EXPECT_EQ(seen(t, "str(event.key)", {"x", "\xff\x01"}), R"(["b'\\xff\\x01'"])");
  EXPECT_EQ(seen(t, "context.pipeline_id, context.pipeline_version, context.step, context.run_id, context.attempt",
                 {"x", std::nullopt, {}, 0, 0, "", 4}),
            R"(["orders","3","first","1-0-105",4])");
}

TEST(LocalBackend, DecodesDataAsJsonElseTextElseBytes) {
  TestBackend t;
  EXPECT_EQ(seen(t, "event.data", {R"( {"a": [1, null, "\u00fc"]} )"}), "[{\"a\":[1,null,\"\u00fc\"]}]");
  EXPECT_EQ(seen(t, "event.data", {"hello"}), R"(["hello"])");
  EXPECT_EQ(seen(t, "event.data", {"{not json"}), R"(["{not json"])");
  EXPECT_EQ(seen(t, "event.data", {"NaN"}), R"(["NaN"])");
  EXPECT_EQ(seen(t, "event.data", {"{\"a\": NaN}"}), R"(["{\"a\": NaN}"])");
  EXPECT_EQ(seen(t, "str(event.data)", {"\xff\xfe"}), R"(["b'\\xff\\xfe'"])");
  EXPECT_EQ(seen(t, "event.data", {""}), R"([""])");
}

TEST(LocalBackend, AFailureShowsTheUsersLineAndSource) {
  TestBackend t;
  const auto id =
      t.start_ready({"def helper(n):\n    raise ValueError('no such order %d' % n)\n\n"
                     "def handle(event):\n    return helper(7)\n"});
  const Outcome& outcome = t.run(id, {"{}"});
  EXPECT_EQ(outcome.kind, OutcomeKind::Failed);
  EXPECT_EQ(outcome.error, "ValueError: no such order 7");
  EXPECT_THAT(outcome.trace, HasSubstr("File \"<step first>\", line 5, in handle\n    return helper(7)"));
  EXPECT_THAT(outcome.trace, HasSubstr("File \"<step first>\", line 2, in helper\n    raise ValueError"));
  EXPECT_THAT(outcome.trace, testing::Not(HasSubstr("worker.py")));
}

TEST(LocalBackend, SkipRejectAndRetrySayWhatTheyMean) {
  TestBackend t;
  const auto id =
      t.start_ready({"from dhub import Skip, Reject, Retry\n"
                     "import datetime\n"
                     "def handle(event):\n"
                     "    if event.data == 'skip': raise Skip('a test order')\n"
                     "    if event.data == 'reject': raise Reject('no such customer')\n"
                     "    if event.data == 'delta': raise Retry(after=datetime.timedelta(minutes=2))\n"
                     "    raise Retry('slow down', after=1.5)\n"});
  EXPECT_EQ(t.run(id, {"skip"}).kind, OutcomeKind::Filtered);
  EXPECT_EQ(t.outcomes.rbegin()->second.error, "a test order");
  EXPECT_EQ(t.run(id, {"reject"}).kind, OutcomeKind::Rejected);
  EXPECT_EQ(t.outcomes.rbegin()->second.error, "Reject: no such customer");
  const Outcome& retry = t.run(id, {"retry"});
  EXPECT_EQ(retry.kind, OutcomeKind::Failed);
  EXPECT_EQ(retry.retry_after, Duration(1500ms));
  EXPECT_EQ(t.run(id, {"delta"}).retry_after, Duration(2min));
}

TEST(LocalBackend, AResumedRunContinuesWithTheStoredResultsAndPublications) {
  TestBackend t;
  const std::vector<std::string> scripts{
      "def handle(event, context):\n    context.publish('audit', 'one')\n    return {'n': event.data['n'] + 1}",
      "def handle(event, context):\n"
      "    context.publish('audit', 'two')\n"
      "    event.data['n'] *= 10\n"
      "    if context.attempt == 1: raise OSError('database away')\n"
      "    return event.data",
      "def handle(event, context):\n    return [event.data, context.inputs]"};
  const auto id = t.start_ready(scripts, publish_result);
  const Outcome failed = t.run(id, {R"({"n": 1})"});
  EXPECT_EQ(failed.kind, OutcomeKind::Failed);
  EXPECT_EQ(failed.step, 1);
  EXPECT_FALSE(failed.results.empty());
  EXPECT_TRUE(failed.publications.empty());

  TestEvent again{R"({"n": 1})"};
  again.attempt = 2;
  again.step = failed.step;
  again.results = failed.results;
  const Outcome& resumed = t.run(id, again);
  ASSERT_EQ(resumed.kind, OutcomeKind::Succeeded) << resumed.trace;
  ASSERT_EQ(resumed.publications.size(), 3u);
  EXPECT_EQ(value_of(resumed.publications[0]), "one");
  EXPECT_EQ(value_of(resumed.publications[1]), "two");
  EXPECT_EQ(value_of(resumed.publications[2]), R"([{"n":20},{"first":{"n":2},"second":{"n":20}}])");
}

TEST(LocalBackend, ResultsThatDoNotFitBeginAtTheFirstStep) {
  TestBackend t;
  const auto id = t.start_ready({"def handle(event):\n    return 'fresh'", "def handle(event):\n    return event.data"},
                                publish_result);
  TestEvent event{"x"};
  event.step = 1;
  event.results = "garbage";
  const Outcome& outcome = t.run(id, event);
  ASSERT_EQ(outcome.publications.size(), 1u);
  EXPECT_EQ(value_of(outcome.publications[0]), "fresh");
}

TEST(LocalBackend, NoneHandsTheSameEventOnAndPublishesNothing) {
  TestBackend t;
  const auto id =
      t.start_ready({"def handle(event):\n    event.data['n'] = 99", "def handle(event):\n    return event.data"},
                    [](InstanceSpec& spec) {
                      spec.steps[0].result_topic = "never";
                      spec.steps[1].result_topic = "out";
                    });
  const Outcome& outcome = t.run(id, {R"({"n":1})"});
  ASSERT_EQ(outcome.publications.size(), 1u);
  EXPECT_EQ(value_of(outcome.publications[0]), R"({"n":1})");
}

TEST(LocalBackend, AGeneratorPublishesEachAndHandsOnAList) {
  TestBackend t;
  const auto id = t.start_ready(
      {"def handle(event):\n    yield 1\n    yield {'two': 2}", "def handle(event):\n    return event.data"},
      [](InstanceSpec& spec) {
        spec.steps[0].result_topic = "many";
        spec.steps[1].result_topic = "one";
      });
  const Outcome& outcome = t.run(id, {"x", "k"});
  ASSERT_EQ(outcome.publications.size(), 3u) << outcome.trace;
  EXPECT_EQ(value_of(outcome.publications[0]), "1");
  EXPECT_EQ(value_of(outcome.publications[1]), R"({"two":2})");
  EXPECT_EQ(outcome.publications[1].message.key, "k");
  EXPECT_EQ(value_of(outcome.publications[2]), R"([1,{"two":2}])");
}

TEST(LocalBackend, AsyncHandlersPlainScriptsAndInitWork) {
  TestBackend t;
  const auto async_id = t.start_ready(
      {"import asyncio\nasync def handle(event):\n    await asyncio.sleep(0)\n    return 'async'"}, publish_result);
  EXPECT_EQ(value_of(t.run(async_id, {"x"}).publications.at(0)), "async");
  const auto plain =
      t.start_ready({"output = {'got': event.data, 'inputs': inputs, 'step': context.step}"}, publish_result);
  EXPECT_EQ(value_of(t.run(plain, {"1"}).publications.at(0)), R"({"got":1,"inputs":{},"step":"first"})");
  const auto init = t.start_ready(
      {"calls = []\ndef init(context):\n    calls.append(context.pipeline_id)\ndef handle(event):\n    return calls"},
      publish_result);
  t.run(init, {"x"});
  EXPECT_EQ(value_of(t.run(init, {"x"}).publications.at(0)), R"(["orders"])");
}

TEST(LocalBackend, PublishTakesKeysHeadersAndTombstones) {
  TestBackend t;
  const auto id =
      t.start_ready({"def handle(event, context):\n"
                     "    context.publish('a', {'x': 1}, headers={'h': 'v', 'n': None})\n"
                     "    context.publish('b', b'\\xff', key=b'raw')\n"
                     "    context.publish('c', None, key=None)\n"});
  const Outcome& outcome = t.run(id, {"x", "k"});
  ASSERT_EQ(outcome.publications.size(), 3u) << outcome.trace;
  EXPECT_EQ(outcome.publications[0].message.key, "k");
  EXPECT_EQ(outcome.publications[0].message.headers, (std::vector<Header>{{"h", "v"}, {"n", std::nullopt}}));
  EXPECT_EQ(outcome.publications[1].message.key, "raw");
  EXPECT_EQ(value_of(outcome.publications[1]), "\xff");
  EXPECT_EQ(outcome.publications[2].message.key, std::nullopt);
  EXPECT_EQ(outcome.publications[2].message.value, std::nullopt);
}

TEST(LocalBackend, AFilteredOrFailedRunPublishesNothing) {
  TestBackend t;
  const auto id =
      t.start_ready({"from dhub import Skip\n"
                     "def handle(event, context):\n"
                     "    context.publish('a', 1)\n"
                     "    raise Skip() if event.data == 'skip' else ValueError(1)\n"});
  EXPECT_TRUE(t.run(id, {"skip"}).publications.empty());
  EXPECT_TRUE(t.run(id, {"fail"}).publications.empty());
}

TEST(LocalBackend, WhatCannotBeAResultIsAFailureThatSaysSo) {
  TestBackend t;
  const auto id = t.start_ready({"import sys\n"
                                 "def recurse(): return recurse()\n"
                                 "def handle(event):\n"
                                 "    if event.data == 'set': return {1, 2}\n"
                                 "    if event.data == 'nan': return float('nan')\n"
                                 "    if event.data == 'exit': sys.exit(3)\n"
                                 "    if event.data == 'interrupt': raise KeyboardInterrupt\n"
                                 "    if event.data == 'recursion': return recurse()\n"
                                 "    if event.data == 'forever':\n"
                                 "        return (i for i in iter(int, 1))\n"
                                 "    return event.none_of_its_attributes\n"},
                                publish_result);
  const auto error = [&](const char* value) {
    const Outcome& outcome = t.run(id, {value});
    EXPECT_EQ(outcome.kind, OutcomeKind::Failed);
    return outcome.error;
  };
  EXPECT_THAT(error("set"), HasSubstr("set is not JSON serializable; a step returns str, bytes or what json.dumps"));
  EXPECT_THAT(error("nan"), HasSubstr("not JSON compliant"));
  EXPECT_THAT(error("exit"), HasSubstr("SystemExit: the step called sys.exit(3)"));
  EXPECT_EQ(error("interrupt"), "KeyboardInterrupt");
  EXPECT_THAT(error("recursion"), HasSubstr("RecursionError"));
  EXPECT_THAT(error("forever"), HasSubstr("may yield 10000 values"));
  EXPECT_THAT(error("x"), HasSubstr("an event has no attribute 'none_of_its_attributes'"));
}

TEST(LocalBackend, PrintAndLoggingGoToTheEventsOwnLog) {
  TestBackend t;
  const auto id =
      t.start_ready({"import logging, sys\n"
                     "def handle(event, context):\n"
                     "    print('hello', event.data)\n"
                     "    logging.info('from logging')\n"
                     "    context.logger.warning('from the context')\n"
                     "    print('to stderr', file=sys.stderr)\n"
                     "    sys.stdout.buffer.write(b'raw \\xff')\n"});
  const auto ids = t.deliver(id, {{"1"}, {"2"}});
  EXPECT_EQ(t.wait_outcome(ids[0]).log,
            "hello 1\nINFO root: from logging\nWARNING first: from the context\nto stderr\nraw \\xff");
  EXPECT_THAT(t.wait_outcome(ids[1]).log, HasSubstr("hello 2\n"));
}

TEST(LocalBackend, TheLogOfAnEventIsCutAtItsLimitWithAMark) {
  TestBackend t;
  const auto id =
      t.start_ready({"def handle(event):\n"
                     "    for i in range(200000): print('\u00fc' * 10)\n"
                     "    print('x' * (50 << 20))\n"});
  const Outcome& outcome = t.run(id, {"x"});
  EXPECT_EQ(outcome.kind, OutcomeKind::Succeeded) << outcome.error;
  EXPECT_LE(outcome.log.size(), (64u << 10) + 32);
  EXPECT_GE(outcome.log.size(), 64u << 10);
  EXPECT_TRUE(outcome.log.ends_with("... [cut at 64KiB]"));
  EXPECT_EQ(t.run(id, {"y"}).log.size(), outcome.log.size());
}

TEST(LocalBackend, WhatIsWrittenPastPythonIsRawOutput) {
  TestBackend t;
  const auto id =
      t.start_ready({"import os\nprint('while loading')\ndef handle(event):\n    os.system('echo from a child')\n"});
  t.run(id, {"x"});
  t.wait([&] { return t.raw_output[id].find("from a child") != std::string::npos; }, "raw output");
  EXPECT_THAT(t.raw_output[id], HasSubstr("while loading"));
}

TEST(LocalBackend, AFailedEventOfAChainStopsTheLaterOnesOfThatChainOnly) {
  TestBackend t;
  const auto id =
      t.start_ready({"from dhub import Skip\ndef handle(event):\n"
                     "    if event.data == 'bad': raise ValueError()\n"
                     "    if event.data == 'skip': raise Skip()\n"});
  const auto chain = [](const char* value, std::uint16_t number) {
    TestEvent event{value, "k"};
    event.chain = number;
    return event;
  };
  const auto ids = t.deliver(id, {chain("good", 1), chain("skip", 1), chain("bad", 1), chain("good", 1),
                                  chain("good", 2), chain("bad", 0), chain("good", 0)});
  const std::vector<OutcomeKind> expected{OutcomeKind::Succeeded,  OutcomeKind::Filtered,  OutcomeKind::Failed,
                                          OutcomeKind::NotStarted, OutcomeKind::Succeeded, OutcomeKind::Failed,
                                          OutcomeKind::Succeeded};
  for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(t.wait_outcome(ids[i]).kind, expected[i]) << i;
  // The next frame knows nothing of it.
  EXPECT_EQ(t.wait_outcome(t.deliver(id, {chain("good", 1)}).front()).kind, OutcomeKind::Succeeded);
}

TEST(LocalBackend, RecallAnswersWhatHasNotBegunAndNothingElse) {
  TestBackend t;
  const auto id =
      t.start_ready({"import os, time\ndef handle(event):\n"
                     "    if event.data == 'wait':\n"
                     "        open('begun', 'w').write('1')\n"
                     "        while not os.path.exists('go'): time.sleep(0.001)\n"});
  const auto first = t.deliver(id, {{"wait"}, {"b"}, {"c"}});
  const auto second = t.deliver(id, {{"d"}});
  const std::string directory = std::string(t.work_dir) + "/instances";
  std::filesystem::path own;
  t.wait(
      [&] {
        for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
          if (entry.path().filename() == "begun") own = entry.path().parent_path();
        }
        return !own.empty();
      },
      "the first event");
  t.backend->recall(id);
  const auto third = t.deliver(id, {{"e"}});
  // Both have to be with the host before the event ends: what is delivered is answered in order, so a probe of another
  // instance shows that the host has read on.
  t.start_ready({"def handle(event): pass"});
  std::filesystem::create_directory(own / "go");
  EXPECT_EQ(t.wait_outcome(first[0]).kind, OutcomeKind::Succeeded);
  EXPECT_EQ(t.wait_outcome(first[1]).kind, OutcomeKind::NotStarted);
  EXPECT_EQ(t.wait_outcome(first[2]).kind, OutcomeKind::NotStarted);
  EXPECT_EQ(t.wait_outcome(second[0]).kind, OutcomeKind::NotStarted);
  EXPECT_EQ(t.wait_outcome(third[0]).kind, OutcomeKind::Succeeded);
}

TEST(LocalBackend, DrainFinishesWhatItHasAndEnds) {
  TestBackend t;
  const auto id =
      t.start_ready({"import atexit\natexit.register(lambda: open('/proc/self/fd/1', 'w').write('left'))\n"
                     "def handle(event): pass"});
  const auto ids = t.deliver(id, {{"a"}, {"b"}});
  t.backend->drain(id);
  const InstanceEnded& end = t.wait_ended(id);
  EXPECT_EQ(end.reason, EndReason::Drained) << end.detail;
  for (const DeliveryId each : ids) EXPECT_EQ(t.outcomes.at(each).kind, OutcomeKind::Succeeded);
}

TEST(LocalBackend, ADrainedInstanceLeavesNoDirectory) {
  TestBackend t;
  const auto id = t.start_ready({"import os\nos.makedirs('deep/er')\nopen('deep/er/file', 'w').write('x')\n"
                                 "def handle(event): return os.getcwd()"},
                                publish_result);
  const std::string directory = value_of(t.run(id, {"x"}).publications.at(0));
  EXPECT_TRUE(std::filesystem::exists(directory));
  t.backend->drain(id);
  t.wait_ended(id);
  t.wait([&] { return !std::filesystem::exists(directory); }, "the directory to go");
}

TEST(LocalBackend, StepsSeeTheirEnvironmentAndNotTheServers) {
  ::setenv("DHUB_TEST_SECRET", "of the server", 1);
  TestBackend t;
  const auto id =
      t.start_ready({"import os, subprocess, sys\n"
                     "def handle(event):\n"
                     "    shell = subprocess.run(['sh', '-c', 'echo $GREETING'], capture_output=True)\n"
                     "    return [os.environ.get('GREETING'), os.environ.get('DHUB_TEST_SECRET'),\n"
                     "            shell.stdout.decode(), 'PATH' in os.environ, os.environ['TMPDIR'] == os.getcwd(),\n"
                     "            sorted(int(n) for n in os.listdir('/proc/self/fd') if int(n) > 4)]"},
                    [](InstanceSpec& spec) {
                      publish_result(spec);
                      spec.env["GREETING"] = "hello";
                    });
  const Outcome& outcome = t.run(id, {"x"});
  ASSERT_EQ(outcome.publications.size(), 1u) << outcome.trace;
  // One descriptor is that of the directory that is being listed.
  EXPECT_THAT(value_of(outcome.publications[0]), testing::StartsWith(R"(["hello",null,"hello\n",true,true,[)"));
  EXPECT_LE(std::ranges::count(value_of(outcome.publications[0]), ','), 6);
}

TEST(LocalBackend, LargeEventsAndManyOfThemComeThrough) {
  TestBackend t;
  const auto id = t.start_ready({"def handle(event):\n    return event.value"}, publish_result);
  std::vector<TestEvent> events;
  for (int i = 0; i < 40; ++i) events.push_back({std::string(static_cast<std::size_t>(i) * 60'000, 'x')});
  events.push_back({std::string(5 << 20, 'y')});
  const auto ids = t.deliver(id, events);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const Outcome& outcome = t.wait_outcome(ids[i]);
    ASSERT_EQ(outcome.kind, OutcomeKind::Succeeded) << outcome.error;
    EXPECT_EQ(value_of(outcome.publications.at(0)), events[i].value);
  }
}

TEST(LocalBackend, WhatGoesBeyondTheBoundOfAnInstanceIsNotStarted) {
  TestBackend t;
  const auto id = t.start_ready({"def handle(event): pass"});
  std::vector<TestEvent> events(70, TestEvent{std::string(1 << 20, 'x')});
  const auto ids = t.deliver(id, events);
  std::size_t refused = 0;
  for (const DeliveryId each : ids) refused += t.wait_outcome(each).kind == OutcomeKind::NotStarted ? 1 : 0;
  EXPECT_GE(refused, 6u);
  EXPECT_LE(refused, 8u);
}

TEST(LocalBackend, AsyncHandlersRunSeveralEventsAtATime) {
  TestBackend t;
  // Nobody gets on before all four are there.
  const auto id = t.start_ready({"import asyncio\nhere = 0\nasync def handle(event):\n"
                                 "    global here\n    here += 1\n    print('log of', event.data)\n"
                                 "    while here < 4: await asyncio.sleep(0.001)\n    return here\n"},
                                [](InstanceSpec& spec) {
                                  spec.concurrency = 4;
                                  publish_result(spec);
                                });
  const auto ids = t.deliver(id, {{"1"}, {"2"}, {"3"}, {"4"}});
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(t.wait_outcome(ids[i]).kind, OutcomeKind::Succeeded) << t.outcomes.at(ids[i]).error;
    EXPECT_EQ(t.outcomes.at(ids[i]).log, "log of " + std::to_string(i + 1) + "\n");
  }
}

TEST(LocalBackend, EventsOfAChainRunOneAfterAnotherInAsyncHandlersToo) {
  TestBackend t;
  const auto id = t.start_ready({"import asyncio\nbusy = False\nasync def handle(event):\n"
                                 "    global busy\n    assert not busy\n    busy = True\n"
                                 "    await asyncio.sleep(0.005)\n    busy = False\n"
                                 "    if event.data == 'bad': raise ValueError()\n"},
                                [](InstanceSpec& spec) { spec.concurrency = 4; });
  const auto chained = [](const char* value) {
    TestEvent event{value, "k"};
    event.chain = 9;
    return event;
  };
  const auto ids = t.deliver(id, {chained("a"), chained("b"), chained("bad"), chained("c")});
  EXPECT_EQ(t.wait_outcome(ids[0]).kind, OutcomeKind::Succeeded) << t.outcomes.at(ids[0]).error;
  EXPECT_EQ(t.wait_outcome(ids[1]).kind, OutcomeKind::Succeeded) << t.outcomes.at(ids[1]).error;
  EXPECT_EQ(t.wait_outcome(ids[2]).kind, OutcomeKind::Failed);
  EXPECT_EQ(t.wait_outcome(ids[3]).kind, OutcomeKind::NotStarted);
}

}  // namespace
}  // namespace dhub::local
