// SPDX-License-Identifier: Apache-2.0
#include "backend/local/script_checker.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dhub::local {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

Step step(const std::string& script) {
  return {"name", script, std::nullopt};
}

TEST(PythonScriptChecker, FindsNothingInGoodScripts) {
  PythonScriptChecker checker;
  const auto found =
      checker.check({step("def handle(event):\n    return 1\n"), step("output = event.data"), step("")}, "");
  ASSERT_TRUE(found.has_value()) << found.error().message;
  EXPECT_TRUE(found->empty());
}

TEST(PythonScriptChecker, NamesStepLineAndMessageOfEveryBadScript) {
  PythonScriptChecker checker;
  const auto found =
      checker.check({step("x = 1"), step("def handle(event)\n    pass"), step("ok = 2"), step("a = 1\nb = (\n"),
                     step(std::string("a\0b", 3)), step("\xff"), step("return 5")},
                    "");
  ASSERT_TRUE(found.has_value()) << found.error().message;
  ASSERT_EQ(found->size(), 5u);
  EXPECT_EQ((*found)[0].step, 1u);
  EXPECT_EQ((*found)[0].line, 1);
  EXPECT_EQ((*found)[0].message, "expected ':'");
  EXPECT_EQ((*found)[1].step, 3u);
  EXPECT_EQ((*found)[1].line, 2);
  EXPECT_THAT((*found)[1].message, HasSubstr("never closed"));
  EXPECT_THAT((*found)[2].message, HasSubstr("null bytes"));
  EXPECT_THAT((*found)[3].message, HasSubstr("utf-8"));
  EXPECT_THAT((*found)[4].message, HasSubstr("'return' outside function"));
}

TEST(PythonScriptChecker, NeverRunsAScript) {
  PythonScriptChecker checker;
  const auto found = checker.check({step("import os\nos._exit(1)"), step("while True: pass")}, "");
  ASSERT_TRUE(found.has_value()) << found.error().message;
  EXPECT_TRUE(found->empty());
}

TEST(PythonScriptChecker, AnInterpreterThatCannotBeRunIsUnavailable) {
  PythonScriptChecker checker;
  for (const char* interpreter : {"/nonexistent/python3", "/bin/true"}) {
    const auto found = checker.check({step("x = 1")}, interpreter);
    ASSERT_FALSE(found.has_value());
    EXPECT_EQ(found.error().code, ErrorCode::Unavailable);
    EXPECT_THAT(found.error().message, HasSubstr(interpreter));
  }
}

TEST(PythonScriptChecker, AnInterpreterThatDoesNotAnswerIsUnavailableInTime) {
  PythonScriptChecker checker("/usr/bin/python3", 200ms);
  const std::string mute = testing::TempDir() + "mute-interpreter";
  std::ofstream(mute) << "#!/bin/sh\nexec sleep 3600\n";
  std::filesystem::permissions(mute, std::filesystem::perms::owner_all);
  const auto began = read_clocks().mono;
  const auto found = checker.check({step("x = 1")}, mute);
  std::filesystem::remove(mute);
  ASSERT_FALSE(found.has_value());
  EXPECT_THAT(found.error().message, HasSubstr("did not answer"));
  EXPECT_LT(read_clocks().mono - began, 20s);
}

TEST(PythonScriptChecker, AScriptThatTakesTheCompilerDownIsNamed) {
  PythonScriptChecker checker("/usr/bin/python3", 3s);
  const auto found = checker.check({step("x = 1"), step("x = " + std::string(200'000, '-') + "1")}, "");
  ASSERT_TRUE(found.has_value()) << found.error().message;
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ((*found)[0].step, 1u);
}

TEST(PythonScriptChecker, ChecksLargeScripts) {
  PythonScriptChecker checker;
  std::string script;
  for (int i = 0; i < 60'000; ++i) script += "x = 1\n";
  const auto found = checker.check({step(script), step(script + "(")}, "");
  ASSERT_TRUE(found.has_value()) << found.error().message;
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ((*found)[0].line, 60'001);
}

}  // namespace
}  // namespace dhub::local
