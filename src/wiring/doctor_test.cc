// SPDX-License-Identifier: Apache-2.0
#include "wiring/doctor.h"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <sys/file.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "wiring/machine_checks.h"

namespace dhub::wiring {
namespace {

using testing::HasSubstr;
using testing::Not;

class DoctorTest : public testing::Test {
 protected:
  DoctorTest() {
    std::string name = "/tmp/dhub-doctor-XXXXXX";
    dir_ = ::mkdtemp(name.data());
    data_ = dir_ + "/data";
  }
  ~DoctorTest() override {
    if (lock_ >= 0) ::close(lock_);
    std::filesystem::remove_all(dir_);
  }

  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(dir_ + '/' + name) << content;
    return dir_ + '/' + name;
  }
  std::string program(const std::string& name, const std::string& content) const {
    const std::string path = write(name, content);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  // As a running server does.
  void hold_lock() {
    std::filesystem::create_directories(data_);
    lock_ = ::open((data_ + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ASSERT_EQ(::flock(lock_, LOCK_EX | LOCK_NB), 0);
  }

  struct Ran {
    int exit = -1;
    std::string out;
  };
  Ran run(const std::string& config, const DiagnoseCluster& diagnose = {},
          cli::OutputFormat format = cli::OutputFormat::Table) const {
    std::ostringstream out, err;
    std::istringstream in;
    cli::Console console{out, err, in, 80};
    cli::OutputFlags output;
    output.format = format;
    const int exit =
        doctor({{{"data", data_}}, write("dhub.yaml", config)}, {{"HOME", dir_}}, output, console, diagnose);
    EXPECT_EQ(err.str(), "");
    return {exit, out.str()};
  }

  std::string dir_;
  std::string data_;
  int lock_ = -1;
};

TEST_F(DoctorTest, AMachineWithoutAServerIsFine) {
  const Ran ran = run("");
  EXPECT_EQ(ran.exit, 0) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("the first start makes it"));
  EXPECT_THAT(ran.out, HasSubstr("not running"));
  EXPECT_FALSE(std::filesystem::exists(data_)) << "nothing was touched";
}

TEST_F(DoctorTest, AWrongConfigurationIsAllThatIsTold) {
  const Ran ran = run("lisen: x\n");
  EXPECT_EQ(ran.exit, 1);
  EXPECT_THAT(ran.out, HasSubstr("did you mean 'listen'?"));
  EXPECT_THAT(ran.out, Not(HasSubstr("clock")));
}

TEST_F(DoctorTest, AFailedCheckSaysWhatToDoAndIsExitOne) {
  const Ran ran = run("python: {interpreter: /nowhere/python}\n");
  EXPECT_EQ(ran.exit, 1);
  EXPECT_THAT(ran.out, HasSubstr("/nowhere/python cannot be run"));
  EXPECT_THAT(ran.out, HasSubstr("What to do:\n  python: Install Python 3.9"));
}

TEST_F(DoctorTest, ClustersAreAskedByTheirNames) {
  std::vector<std::string> asked;
  const DiagnoseCluster diagnose = [&](const ClusterConfig& cluster) -> std::vector<DoctorCheck> {
    asked.push_back(cluster.name + ' ' + cluster.properties.at(0).value);
    return {{"brokers", CheckState::Ok, "3", {}}, {"login", CheckState::Fail, "refused", "Check the password."}};
  };
  const Ran ran =
      run("topics: {clusters: {main: {kafka: {bootstrap.servers: 'h:1'}}}}\n", diagnose, cli::OutputFormat::Json);
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(asked, std::vector<std::string>{"main h:1"});
  EXPECT_THAT(ran.out, HasSubstr(R"("name": "main: login")"));
  EXPECT_THAT(ran.out, HasSubstr(R"("state": "fail")"));
  EXPECT_THAT(ran.out, HasSubstr(R"("action": "Check the password.")"));
}

TEST_F(DoctorTest, ADirectoryThatCannotBeWrittenFails) {
  const std::string file = write("file", "");
  EXPECT_EQ(check_data_directory(file).state, CheckState::Fail);
  EXPECT_EQ(check_data_directory(file + "/below").state, CheckState::Fail);
  EXPECT_EQ(check_data_directory("/proc/nowhere").state, ::geteuid() == 0 ? CheckState::Ok : CheckState::Fail);
  EXPECT_EQ(check_data_directory(dir_).state, CheckState::Ok);
}

TEST_F(DoctorTest, TheLockIsSeenAndLeftAlone) {
  EXPECT_EQ(is_locked(data_), false);
  hold_lock();
  EXPECT_EQ(is_locked(data_), true);
  EXPECT_THAT(check_data_directory(data_).detail, HasSubstr("in use by a running server"));
  ::close(std::exchange(lock_, -1));
  EXPECT_EQ(is_locked(data_), false);
  hold_lock();
}

TEST_F(DoctorTest, AServerThatDoesNotAnswerIsToldFromOneThatWasKilled) {
  std::filesystem::create_directories(data_);
  write("data/server.json", R"({"url": "http://127.0.0.1:1", "pid": 1, "version": "0"})");
  EXPECT_EQ(check_server(data_).state, CheckState::Warn);
  EXPECT_THAT(check_server(data_).detail, HasSubstr("did not end cleanly"));
  hold_lock();
  EXPECT_EQ(check_server(data_).state, CheckState::Fail);
  std::filesystem::remove(data_ + "/server.json");
  EXPECT_EQ(check_server(data_).state, CheckState::Warn);
}

TEST_F(DoctorTest, PythonIsRunAndItsVersionCounts) {
  EXPECT_EQ(check_python("/usr/bin/python3").state, CheckState::Ok) << check_python("/usr/bin/python3").detail;
  for (const char* version : {"3.9.0", "3.13.1", "4.0.0"})
    EXPECT_EQ(check_python(program("good", fmt::format("#!/bin/sh\necho {}\n", version))).state, CheckState::Ok);
  for (const char* answer : {"3.8.19", "2.7.18", "3", "hello", ""})
    EXPECT_EQ(check_python(program("bad", fmt::format("#!/bin/sh\necho '{}'\n", answer))).state, CheckState::Fail);
  EXPECT_EQ(check_python(dir_).state, CheckState::Fail);
}

TEST_F(DoctorTest, AClockThatIsWrongOrWentBackIsTold) {
  const WallTime now{1'800'000'000'000};
  EXPECT_EQ(check_clock(now, std::nullopt).state, CheckState::Ok);
  EXPECT_EQ(check_clock(now, WallTime{now.ms + 1'000}).state, CheckState::Ok);
  EXPECT_EQ(check_clock(now, WallTime{now.ms + 3'600'000}).state, CheckState::Warn);
  EXPECT_EQ(check_clock(WallTime{0}, std::nullopt).state, CheckState::Fail);
  EXPECT_EQ(newest_write_of_store(dir_), std::nullopt);
  write("store.db", "");
  EXPECT_TRUE(newest_write_of_store(dir_));
}

}  // namespace
}  // namespace dhub::wiring
