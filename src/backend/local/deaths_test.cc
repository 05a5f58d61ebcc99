// SPDX-License-Identifier: Apache-2.0
// Workers that die, hang, eat memory or leave processes behind; hosts and servers that are killed.
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/local/test_backend.h"

namespace dhub::local {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// A step whose events say what is to happen. `{dir}` is the test's directory.
std::string deadly(const TestBackend& t) {
  return "import os, signal, subprocess, sys, time, ctypes\n"
         "DIR = '" +
         t.work_dir +
         "/'\n"
         "def note(name, pid):\n"
         "    with open(DIR + name + '.new', 'w') as f: f.write(str(pid))\n"
         "    os.rename(DIR + name + '.new', DIR + name)\n"
         "def orphan():\n"
         "    note('worker', int(os.readlink('/proc/self')))\n"
         "    if os.fork() == 0:\n"
         "        os.setsid()\n"
         "        if os.fork() == 0:\n"
         "            note('orphan', os.getpid())\n"
         "            while True: time.sleep(3600)\n"
         "        os._exit(0)\n"
         "    subprocess.Popen(['sleep', '3600'], start_new_session=True)\n"
         "    while not os.path.exists(DIR + 'orphan'): time.sleep(0.001)\n"
         "def handle(event):\n"
         "    what = event.data\n"
         "    if what == 'segv': os.kill(os.getpid(), signal.SIGSEGV)\n"
         "    if what == 'pointer': ctypes.string_at(1)\n"
         "    if what == 'exit': os._exit(3)\n"
         "    if what == 'hang':\n"
         "        print('about to hang')\n"
         "        while True: time.sleep(3600)\n"
         "    if what == 'orphan-hang':\n"
         "        orphan()\n"
         "        while True: time.sleep(3600)\n"
         "    if what == 'orphan': orphan()\n"
         "    if what == 'orphan-segv':\n"
         "        orphan()\n"
         "        os.kill(os.getpid(), signal.SIGSEGV)\n"
         "    if what == 'hog':\n"
         "        hog = []\n"
         "        while True: hog.append(bytearray(1 << 20))\n"
         "    if what == 'native-hog':\n"
         "        libc = ctypes.CDLL(None); libc.malloc.restype = ctypes.c_void_p\n"
         "        while True:\n"
         "            block = libc.malloc(1 << 20)\n"
         "            if block: ctypes.memset(block, 1, 1 << 20)\n"
         "            else: time.sleep(0.001)\n"
         "    if what == 'child-hog':\n"
         "        subprocess.run([sys.executable, '-c', 'import time; hog = bytearray(300 << 20); time.sleep(3600)'])\n"
         "    if what == 'huge': bytearray(1 << 40)\n"
         "    if what == 'fork':\n"
         "        if os.fork() == 0: return 'the child must not go on'\n"
         "        os.wait()\n";
}

struct Neighbours {
  InstanceId instance{};
  std::vector<DeliveryId> ids;
};

// Delivers two good events, the bad one, two good ones and one more frame.
Neighbours deliver_among_good(TestBackend& t, InstanceId instance, const std::string& bad) {
  auto ids = t.deliver(instance, {{"good"}, {"good"}, {bad}, {"good"}, {"good"}});
  ids.push_back(t.deliver(instance, {{"good"}}).front());
  return {instance, ids};
}

// The events before it are done, the bad one is charged, the others never began.
const Outcome& expect_only_third_charged(TestBackend& t, const Neighbours& n, OutcomeKind kind) {
  t.wait_ended(n.instance);
  EXPECT_EQ(t.outcomes.size(), n.ids.size());
  const std::vector<OutcomeKind> expected{OutcomeKind::Succeeded,  OutcomeKind::Succeeded,  kind,
                                          OutcomeKind::NotStarted, OutcomeKind::NotStarted, OutcomeKind::NotStarted};
  for (std::size_t i = 0; i < n.ids.size(); ++i) EXPECT_EQ(t.outcomes.at(n.ids[i]).kind, expected[i]) << i;
  return t.outcomes.at(n.ids[2]);
}

// How many processes' files in /proc, `name`, fit.
int count_processes(const char* name, const std::function<bool(int, const std::string&)>& fits) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry.path() / name);
    std::string text;
    std::getline(file, text);
    if (!text.empty() && fits(std::stoi(pid), text)) ++count;
  }
  return count;
}

// Templates, workers and what they forked have the test's directory among their arguments.
int count_pythons() {
  return count_processes("cmdline",
                         [](int, const std::string& line) { return line.find("dhub-test-") != std::string::npos; });
}

// And what was executed, which is the sleeper.
int count_living() {
  using namespace std::string_literals;
  return count_pythons() +
         count_processes("cmdline", [](int, const std::string& line) { return line.starts_with("sleep\0003600"s); });
}

// How the test program runs as a host: with the best isolation that there is, or without namespaces.
class OnEveryIsolation : public testing::TestWithParam<const char*> {
 protected:
  static LocalOptions options() {
    LocalOptions options;
    options.host_program = host_program(GetParam());
    return options;
  }
};
INSTANTIATE_TEST_SUITE_P(Deaths, OnEveryIsolation, testing::Values("best", "user_namespace", "none"),
                         [](const auto& tested) { return std::string(tested.param); });

TEST(Deaths, ASegmentationFaultChargesExactlyItsEvent) {
  TestBackend t;
  const auto id = t.start_ready({deadly(t)});
  const auto n = deliver_among_good(t, id, "segv");
  const Outcome& outcome = expect_only_third_charged(t, n, OutcomeKind::Crashed);
  EXPECT_EQ(outcome.error, "the worker was killed by signal 11 (SIGSEGV)");
  EXPECT_EQ(t.ended.at(id).reason, EndReason::Crashed);
  EXPECT_THAT(t.ended.at(id).detail, HasSubstr("signal 11"));
}

TEST(Deaths, ACrashInNativeCodeShowsTheUsersLine) {
  TestBackend t;
  const auto id = t.start_ready({deadly(t)});
  const Outcome& outcome = t.run(id, {"pointer"});
  EXPECT_EQ(outcome.kind, OutcomeKind::Crashed);
  EXPECT_THAT(outcome.trace, HasSubstr("Fatal Python error: Segmentation fault"));
  EXPECT_THAT(outcome.trace, HasSubstr("File \"<step first>\", line 19 in handle"));
}

TEST(Deaths, LeavingTheProcessChargesExactlyItsEvent) {
  TestBackend t;
  const auto n = deliver_among_good(t, t.start_ready({deadly(t)}), "exit");
  EXPECT_EQ(expect_only_third_charged(t, n, OutcomeKind::Crashed).error, "the worker exited with status 3");
}

TEST(Deaths, ATimeoutKillsTheWorkerAndSaysWhereItHung) {
  TestBackend t;
  const auto id = t.start_ready({deadly(t)}, [](InstanceSpec& spec) { spec.timeout = 300ms; });
  const auto n = deliver_among_good(t, id, "hang");
  const Outcome& outcome = expect_only_third_charged(t, n, OutcomeKind::TimedOut);
  EXPECT_EQ(outcome.error, "timed out: the attempt ran for more than 300ms (options.timeout)");
  EXPECT_EQ(outcome.log, "about to hang\n");
  EXPECT_THAT(outcome.trace, HasSubstr("File \"<step first>\", line 23 in handle"));
  EXPECT_THAT(outcome.trace, testing::Not(HasSubstr("worker.py")));
  EXPECT_GE(outcome.duration_us, 300'000u);
  EXPECT_EQ(t.ended.at(id).reason, EndReason::TimedOut);
}

TEST(Deaths, TheTimeoutIsThatOfEachEventAndNotOfTheFrame) {
  TestBackend t;
  const auto id = t.start_ready({"import time\ndef handle(event): time.sleep(0.05)"},
                                [](InstanceSpec& spec) { spec.timeout = 400ms; });
  const auto ids = t.deliver(id, std::vector<TestEvent>(20, TestEvent{"x"}));
  for (const DeliveryId each : ids) EXPECT_EQ(t.wait_outcome(each).kind, OutcomeKind::Succeeded);
}

TEST_P(OnEveryIsolation, ATimeoutTakesWhateverTheStepStartedAlong) {
  TestBackend t(options());
  const auto id = t.start_ready({deadly(t)}, [](InstanceSpec& spec) { spec.timeout = 1s; });
  t.deliver(id, {{"orphan-hang"}});
  EXPECT_EQ(t.wait_ended(id).reason, EndReason::TimedOut);
  EXPECT_TRUE(number_in(t.work_dir + "/orphan").has_value());
  EXPECT_EQ(count_living(), 1) << "the template, and nobody else";
}

TEST_P(OnEveryIsolation, OrphansOfALivingWorkerLiveAndEndWithIt) {
  TestBackend t(options());
  const auto id = t.start_ready({deadly(t)});
  const auto other = t.start_ready({deadly(t)});
  EXPECT_EQ(t.run(id, {"orphan"}).kind, OutcomeKind::Succeeded);
  // Another worker's death does not touch them.
  EXPECT_EQ(t.run(other, {"exit"}).kind, OutcomeKind::Crashed);
  t.wait_ended(other);
  EXPECT_EQ(t.run(id, {"good"}).kind, OutcomeKind::Succeeded);
  EXPECT_EQ(count_living(), 4) << "template, worker and two orphans";
  t.backend->kill(id);
  t.wait_ended(id);
  EXPECT_EQ(count_living(), 1);
}

TEST_P(OnEveryIsolation, ACrashTakesWhateverTheStepStartedAlong) {
  TestBackend t(options());
  const auto id = t.start_ready({deadly(t)});
  EXPECT_EQ(t.run(id, {"orphan-segv"}).kind, OutcomeKind::Crashed);
  t.wait_ended(id);
  EXPECT_EQ(count_living(), 1) << "the template, and nobody else";
}

TEST_P(OnEveryIsolation, AMemoryHogIsChargedAndItsNeighboursAreNot) {
  for (const char* hog : {"hog", "native-hog", "child-hog", "huge"}) {
    TestBackend t(options());
    const auto id = t.start_ready({deadly(t)}, [](InstanceSpec& spec) { spec.limits.memory_bytes = 128ULL << 20; });
    const auto n = deliver_among_good(t, id, hog);
    const Outcome& outcome = expect_only_third_charged(t, n, OutcomeKind::OutOfMemory);
    EXPECT_THAT(outcome.error, testing::AnyOf(HasSubstr("its limit is 128 MiB"), HasSubstr("MemoryError"))) << hog;
    EXPECT_EQ(t.ended.at(id).reason, EndReason::OutOfMemory) << hog;
  }
}

TEST(Deaths, AChildThatReturnsFromItsForkNeverAnswersForTheWorker) {
  TestBackend t;
  const auto id = t.start_ready({deadly(t)});
  EXPECT_EQ(t.run(id, {"fork"}).kind, OutcomeKind::Succeeded);
  EXPECT_EQ(t.run(id, {"good"}).kind, OutcomeKind::Succeeded);
}

TEST(Deaths, KillEndsAtOnceAndAnswersWhatRan) {
  TestBackend t;
  const auto id = t.start_ready({"DIR = '" + t.work_dir +
                                 "/'\nimport time\ndef handle(event):\n    open(DIR + 'begun', 'w').write('1')\n"
                                 "    while True: time.sleep(3600)"});
  const auto ids = t.deliver(id, {{"a"}, {"b"}});
  t.wait([&] { return number_in(t.work_dir + "/begun").has_value(); }, "the event to begin");
  t.backend->kill(id);
  EXPECT_EQ(t.wait_ended(id).reason, EndReason::Killed);
  EXPECT_EQ(t.outcomes.at(ids[0]).kind, OutcomeKind::Crashed);
  EXPECT_EQ(t.outcomes.at(ids[0]).error, "killed by the server");
  EXPECT_EQ(t.outcomes.at(ids[1]).kind, OutcomeKind::NotStarted);
}

TEST(Deaths, KillDuringTheStartEndsItToo) {
  TestBackend t;
  const auto id = t.start({"while True: pass\ndef handle(event): pass"});
  const auto ids = t.deliver(id, {{"a"}});
  t.backend->kill(id);
  EXPECT_EQ(t.wait_ended(id).reason, EndReason::Killed);
  EXPECT_EQ(t.outcomes.at(ids[0]).kind, OutcomeKind::NotStarted);
}

TEST(Deaths, WhatTheStepsBeforeHadFinishedSurvivesACrash) {
  TestBackend t;
  const std::vector<std::string> scripts{
      "def handle(event, context):\n    context.publish('audit', 'one')\n    return 'from the first'",
      "import os\ndef handle(event, context):\n    if context.attempt == 1: os._exit(1)\n    return event.data"};
  const auto change = [](InstanceSpec& spec) { spec.steps[1].result_topic = "out"; };
  const auto id = t.start_ready(scripts, change);
  const Outcome crashed = t.run(id, {"x"});
  EXPECT_EQ(crashed.kind, OutcomeKind::Crashed);
  EXPECT_EQ(crashed.step, 1);
  TestEvent again{"x"};
  again.attempt = 2;
  again.step = crashed.step;
  again.results = crashed.results;
  const Outcome& resumed = t.run(t.start_ready(scripts, change), again);
  ASSERT_EQ(resumed.publications.size(), 2u) << resumed.trace;
  EXPECT_EQ(resumed.publications[1].message.value, "from the first");
}

// With several at a time too.
TEST(Deaths, ADeathAmongSeveralIsThatOfItsStepAndKeepsTheStepsBefore) {
  for (const char* death :
       {"os._exit(1)", "os.kill(os.getpid(), signal.SIGSEGV)", "await asyncio.sleep(3600)", "time.sleep(3600)"}) {
    TestBackend t;
    const std::vector<std::string> scripts{
        "async def handle(event):\n    open('" + t.work_dir + "/ran', 'a').write('.')\n    return 'from the first'",
        "import asyncio, os, signal, time\nasync def handle(event, context):\n    await asyncio.sleep(0)\n"
        "    if context.attempt == 1: " +
            std::string(death) + "\n    return event.data"};
    const auto several = [](InstanceSpec& spec) {
      spec.concurrency = 2;
      spec.timeout = 300ms;
      spec.steps[1].result_topic = "out";
    };
    const Outcome failed = t.run(t.start_ready(scripts, several), {"x"});
    EXPECT_EQ(failed.kind,
              std::string(death).find("sleep") == std::string::npos ? OutcomeKind::Crashed : OutcomeKind::TimedOut);
    EXPECT_EQ(failed.step, 1) << death;
    TestEvent again{"x"};
    again.attempt = 2;
    again.step = failed.step;
    again.results = failed.results;
    const Outcome& resumed = t.run(t.start_ready(scripts, several), again);
    ASSERT_EQ(resumed.publications.size(), 1u) << death << resumed.trace;
    EXPECT_EQ(resumed.publications[0].message.value, "from the first");
    EXPECT_EQ(std::filesystem::file_size(t.work_dir + "/ran"), 1u) << death;
  }
}

TEST(Deaths, OfSeveralThatHadBegunEachRunsAloneAndThenTheBadOneIsCharged) {
  TestBackend t;
  const std::string script =
      "import asyncio, os\nhere = 0\nasync def handle(event):\n    global here\n    here += 1\n"
      "    if event.data == 'bad':\n"
      "        while here < int(event.headers['wait']): await asyncio.sleep(0.001)\n"
      "        os._exit(1)\n"
      "    await asyncio.sleep(0 if event.headers['wait'] == '1' else 3600)\n";
  const auto several = [](InstanceSpec& spec) { spec.concurrency = 3; };
  const auto event = [](const char* what, const char* wait) { return TestEvent{what, std::nullopt, {{"wait", wait}}}; };
  const auto first = t.start_ready({script}, several);
  const auto ids = t.deliver(first, {event("good", "3"), event("bad", "3"), event("good", "3")});
  t.wait_ended(first);
  for (const DeliveryId each : ids) EXPECT_EQ(t.outcomes.at(each).kind, OutcomeKind::NotStarted);

  const auto second = t.start_ready({script}, several);
  std::vector<TestEvent> again{event("good", "1"), event("bad", "1"), event("good", "1")};
  const auto repeated = t.deliver_again(second, ids, again);
  t.wait_ended(second);
  EXPECT_EQ(t.outcomes.at(repeated[0]).kind, OutcomeKind::Succeeded);
  EXPECT_EQ(t.outcomes.at(repeated[1]).kind, OutcomeKind::Crashed);
  EXPECT_EQ(t.outcomes.at(repeated[2]).kind, OutcomeKind::NotStarted);
}

TEST(Deaths, AnAsyncHandlerPastItsDeadlineIsCancelledAloneOrKilledWhenItBlocks) {
  TestBackend t;
  const auto several = [](InstanceSpec& spec) {
    spec.concurrency = 3;
    spec.timeout = 300ms;
  };
  const auto id = t.start_ready({"import asyncio, time\nasync def handle(event):\n"
                                 "    if event.data == 'hang': await asyncio.sleep(3600)\n"
                                 "    if event.data == 'block': time.sleep(3600)\n"},
                                several);
  const auto ids = t.deliver(id, {{"hang"}, {"good"}});
  EXPECT_EQ(t.wait_outcome(ids[0]).kind, OutcomeKind::TimedOut);
  EXPECT_EQ(t.wait_outcome(ids[1]).kind, OutcomeKind::Succeeded);
  EXPECT_EQ(t.run(id, {"good"}).kind, OutcomeKind::Succeeded);
  EXPECT_EQ(t.run(id, {"block"}).kind, OutcomeKind::TimedOut);
  EXPECT_EQ(t.wait_ended(id).reason, EndReason::TimedOut);
}

TEST(Deaths, AHostThatIsKilledLosesItsInstancesAndLeavesNoProcess) {
  TestBackend t;
  const auto id = t.start_ready({deadly(t)});
  const auto ids = t.deliver(id, {{"good"}, {"orphan-hang"}, {"good"}});
  t.wait([&] { return number_in(t.work_dir + "/orphan").has_value(); }, "the orphan");
  ::kill(t.backend->host_pid(), SIGKILL);
  EXPECT_EQ(t.wait_ended(id).reason, EndReason::HostLost);
  EXPECT_EQ(count_pythons(), 0) << "HostLost was told before all were dead";
  t.wait([] { return count_living() == 0; }, "the sleeper to go");
  EXPECT_FALSE(t.outcomes.contains(ids[1]));

  // The next instance gets another host, and what the first one left on disk goes.
  const auto next = t.start_ready({deadly(t)});
  EXPECT_EQ(t.run(next, {"good"}).kind, OutcomeKind::Succeeded);
  t.wait(
      [&] {
        const std::filesystem::directory_iterator hosts(t.work_dir + "/instances");
        return std::distance(begin(hosts), end(hosts)) == 1;
      },
      "the first host's directory to go");
}

TEST_P(OnEveryIsolation, ATemplateThatIsKilledTakesItsWorkersAndAnotherOneIsStarted) {
  TestBackend t(options());
  const auto id = t.start_ready({deadly(t)});
  t.deliver(id, {{"orphan-hang"}});
  t.wait([&] { return number_in(t.work_dir + "/orphan").has_value(); }, "the orphan");
  const std::string child_of_host = ") S " + std::to_string(t.backend->host_pid()) + " ";
  EXPECT_EQ(count_processes("stat",
                            [&](int pid, const std::string& stat) {
                              return stat.find(child_of_host) != std::string::npos && ::kill(pid, SIGKILL) == 0;
                            }),
            1);
  EXPECT_EQ(t.wait_ended(id).reason, EndReason::Crashed);
  EXPECT_EQ(count_living(), 0);
  const auto next = t.start_ready({deadly(t)});
  EXPECT_EQ(t.run(next, {"good"}).kind, OutcomeKind::Succeeded);
}

TEST_P(OnEveryIsolation, AServerThatIsKilledLeavesNoProcessAndNoDirectory) {
  TestBackend t;  // for its directory
  const pid_t server = ::fork();
  if (server == 0) {
    LocalOptions settings = options();
    settings.work_dir = t.work_dir;
    boost::asio::io_context io;
    loop::AsioScheduler scheduler(io);
    LocalBackend backend(scheduler, io, std::move(settings));
    auto spec = std::make_shared<InstanceSpec>();
    spec->pipeline_id = "p";
    spec->timeout = 1h;
    spec->steps.push_back({"first", deadly(t), std::nullopt});
    backend.start(InstanceId{1}, spec, t);
    Delivery delivery;
    delivery.id = DeliveryId{1};
    delivery.topic = "topic";
    delivery.record.value = "orphan-hang";
    backend.deliver(InstanceId{1}, {delivery});
    for (;;) io.run_one_for(1s);
  }
  t.wait([&] { return number_in(t.work_dir + "/orphan").has_value(); }, "the orphan");
  EXPECT_GT(count_living(), 0);
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  t.wait([] { return count_living() == 0; }, "all processes to go");
  t.wait([&] { return std::filesystem::is_empty(t.work_dir + "/instances"); }, "the directories to go");
}

TEST_P(OnEveryIsolation, SignalsThatAreMeantForTheServerEndNobody) {
  TestBackend t(options());
  const auto id = t.start_ready({deadly(t)});
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
    ::kill(t.backend->host_pid(), number);
    EXPECT_EQ(count_processes("cmdline",
                              [&](int pid, const std::string& line) {
                                return line.find("dhub-test-") != std::string::npos && ::kill(pid, number) == 0;
                              }),
              2);
  }
  EXPECT_EQ(t.run(id, {"good"}).kind, OutcomeKind::Succeeded);
  EXPECT_EQ(t.run(t.start_ready({deadly(t)}), {"good"}).kind, OutcomeKind::Succeeded);
}

TEST(Deaths, AnIdleTemplateEnds) {
  LocalOptions options;
  options.template_idle = 200ms;
  TestBackend t(std::move(options));
  const auto id = t.start_ready({"def handle(event): pass"});
  t.backend->drain(id);
  t.wait_ended(id);
  EXPECT_GT(count_living(), 0);
  t.wait([] { return count_living() == 0; }, "the template to go");
  EXPECT_EQ(t.run(t.start_ready({"def handle(event): pass"}), {"x"}).kind, OutcomeKind::Succeeded);
}

TEST(Deaths, AWorkerThatWritesToTheRunnersSocketIsEnded) {
  TestBackend t;
  const auto id =
      t.start_ready({"import os, time\ndef handle(event):\n    os.write(3, b'x' * 100)\n    time.sleep(3600)"});
  const auto other = t.start_ready({"def handle(event): pass"});
  EXPECT_EQ(t.run(id, {"x"}).kind, OutcomeKind::Crashed);
  EXPECT_THAT(t.wait_ended(id).detail, HasSubstr("socket belongs to the runner"));
  EXPECT_EQ(t.run(other, {"x"}).kind, OutcomeKind::Succeeded);
}

}  // namespace
}  // namespace dhub::local
