// SPDX-License-Identifier: Apache-2.0
// What keeps an instance from starting, and what is told of it.
#include <filesystem>
#include <fstream>

#include "backend/local/test_backend.h"

namespace dhub::local {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST(LocalBackend, AStepThatCannotBeLoadedFailsToStartWithItsTraceback) {
  TestBackend t;
  const auto bad = [&](const std::string& script) {
    return t.wait_ended(t.start({"def handle(event): pass", script}));
  };
  const InstanceEnded syntax = bad("def handle(event)\n    pass");
  EXPECT_EQ(syntax.reason, EndReason::FailedToStart);
  EXPECT_THAT(syntax.detail, HasSubstr("step 'second': SyntaxError: expected ':'"));
  EXPECT_THAT(syntax.trace, HasSubstr("File \"<step second>\", line 1"));
  const InstanceEnded import = bad("import json\nimport no_such_module\ndef handle(event): pass");
  EXPECT_THAT(import.detail, HasSubstr("No module named 'no_such_module'"));
  EXPECT_THAT(import.trace, HasSubstr("File \"<step second>\", line 2, in <module>\n    import no_such_module"));
  EXPECT_THAT(bad("def init(context):\n    raise OSError('no database')\ndef handle(event): pass").detail,
              HasSubstr("step 'second': OSError: no database"));
  EXPECT_THAT(bad("def handle(): pass").detail, HasSubstr("handle(event)"));
  EXPECT_THAT(bad("import os\nos._exit(4)\ndef handle(event): pass").detail, HasSubstr("exited with status 4"));
}

TEST(LocalBackend, AnInterpreterThatDoesNotWorkFailsToStart) {
  TestBackend t;
  const auto with = [&](const char* interpreter) {
    return t.wait_ended(
        t.start({"def handle(event): pass"}, [&](InstanceSpec& spec) { spec.interpreter = interpreter; }));
  };
  const InstanceEnded missing = with("/nonexistent/python3");
  EXPECT_EQ(missing.reason, EndReason::FailedToStart);
  EXPECT_THAT(missing.detail, HasSubstr("/nonexistent/python3"));
  EXPECT_THAT(missing.detail, HasSubstr("No such file or directory"));
  EXPECT_THAT(with("/bin/false").detail, HasSubstr("/bin/false"));
}

TEST(LocalBackend, AHostThatCannotBeRunFailsToStart) {
  LocalOptions options;
  options.host_program = "/nonexistent/dhub";
  TestBackend t(std::move(options));
  const InstanceEnded& end = t.wait_ended(t.start({"def handle(event): pass"}));
  EXPECT_EQ(end.reason, EndReason::FailedToStart);
  EXPECT_THAT(end.detail, HasSubstr("/nonexistent/dhub"));
}

TEST(LocalBackend, AProgramThatIsNoHostFailsToStart) {
  LocalOptions options;
  options.host_program = "/bin/false";
  TestBackend t(std::move(options));
  const auto id = t.start({"def handle(event): pass"});
  const auto deliveries = t.deliver(id, {{"x"}});
  const InstanceEnded& end = t.wait_ended(id);
  EXPECT_EQ(end.reason, EndReason::FailedToStart);
  EXPECT_EQ(end.detail, "the runner ended: exited with status 1");
  EXPECT_EQ(t.outcomes.at(deliveries[0]).kind, OutcomeKind::NotStarted);
}

TEST(LocalBackend, AHostThatSaysNothingFailsToStart) {
  LocalOptions options;
  options.hello_timeout = 200ms;
  options.host_program = testing::TempDir() + "mute-host";
  std::ofstream(options.host_program) << "#!/bin/sh\nexec sleep 3600\n";
  std::filesystem::permissions(options.host_program, std::filesystem::perms::owner_all);
  TestBackend t(options);
  const InstanceEnded& end = t.wait_ended(t.start({"def handle(event): pass"}));
  std::filesystem::remove(options.host_program);
  EXPECT_EQ(end.reason, EndReason::FailedToStart);
  EXPECT_THAT(end.detail, HasSubstr("did not say hello in time"));
}

TEST(LocalBackend, LoadingMayNotTakeForEver) {
  LocalOptions options;
  options.start_timeout = 300ms;
  TestBackend t(std::move(options));
  const InstanceEnded& end = t.wait_ended(t.start({"while True: pass\ndef handle(event): pass"}));
  EXPECT_EQ(end.reason, EndReason::FailedToStart);
  EXPECT_THAT(end.detail, HasSubstr("not loaded within 300ms"));
}

}  // namespace
}  // namespace dhub::local
