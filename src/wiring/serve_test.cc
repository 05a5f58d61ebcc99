// SPDX-License-Identifier: Apache-2.0
#include "wiring/serve.h"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <iostream>
#include <signal.h>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "cli/http_client.h"
#include "cli/program.h"
#include "store/sqlite/sqlite.h"
#include "wiring/doctor.h"

namespace dhub::wiring {
namespace {

constexpr Duration kPatience = std::chrono::seconds(30);

// A server in a process of its own, as `dhub serve` runs it.
class Server {
 public:
  explicit Server(const std::string& data, const std::string& listen = "127.0.0.1:0", const std::string& auth = "on") {
    int ends[2];
    if (::pipe(ends) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO);
      ::close(ends[0]);
      ::close(ends[1]);
      cli::Console console{std::cout, std::cerr, std::cin, 80};
      const int exit = serve({{{"listen", listen}, {"data", data}, {"auth", auth}}, ""}, {}, console);
      std::cout.flush();
      ::_exit(exit);
    }
    ::close(ends[1]);
    for (char c = 0; ::read(ends[0], &c, 1) == 1 && c != '\n';) said_ += c;
    ::close(ends[0]);
  }
  ~Server() {
    if (pid_ > 0) end(SIGKILL);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // The line on standard output; empty when the server ended instead.
  [[nodiscard]] const std::string& said() const { return said_; }
  [[nodiscard]] std::string url() const { return said_.substr(said_.rfind(' ') + 1); }
  [[nodiscard]] pid_t pid() const { return pid_; }
  void send(int signal) const { ::kill(pid_, signal); }
  // The exit code, or 256 + the signal that killed it.
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
  }
  int end(int signal) {
    send(signal);
    return wait();
  }

 private:
  pid_t pid_ = -1;
  std::string said_;
};

class ServeTest : public testing::Test {
 protected:
  ServeTest() {
    std::string name = "/tmp/dhub-serve-XXXXXX";
    dir_ = ::mkdtemp(name.data());
    data_ = dir_ + "/data";
  }
  ~ServeTest() override { std::filesystem::remove_all(dir_); }

  struct Ran {
    int exit = -1;
    std::string out;
    std::string err;
  };
  // A client verb against the server of the data directory.
  [[nodiscard]] Ran dhub(const std::vector<std::string>& words, const std::string& input = {}) const {
    std::ostringstream out;
    std::ostringstream err;
    std::istringstream in(input);
    cli::Console console{out, err, in, 80};
    const int exit = cli::run(words, {{"DHUB_DATA", data_}}, console, {});
    return {exit, out.str(), err.str()};
  }

  // Starts a pipeline whose one event has begun, and goes on until go() is called.
  void begin_an_event() {
    const std::string definition = fmt::format(
        "id: p\nname: P\noptions: {{event: t}}\nsteps:\n- name: s\n  script: |\n"
        "    import os, time\n"
        "    def handle(event):\n"
        "        open('{0}/begun', 'w').close()\n"
        "        while not os.path.exists('{0}/go'): time.sleep(0.01)\n",
        dir_);
    const Ran applied = dhub({"pipelines", "apply", "-f", "-"}, definition);
    ASSERT_EQ(applied.exit, 0) << applied.err;
    ASSERT_EQ(dhub({"events", "start", "p", "--wait"}).exit, 0);
    ASSERT_EQ(dhub({"topics", "publish", "t", "--value", "1"}).exit, 0);
    const Instant deadline = read_clocks().mono + kPatience;
    while (!std::filesystem::exists(dir_ + "/begun")) {
      ASSERT_LT(read_clocks().mono, deadline);
      ASSERT_EQ(dhub({"events", "status", "p"}).exit, 0);
    }
  }
  void go() const { std::ofstream(dir_ + "/go") << ""; }

  static int ready_status(const std::string& url) {
    cli::HttpRequest request;
    request.url = url + "/readyz";
    const auto reply = cli::HttpClient().send(request);
    return reply ? reply->status : 0;
  }
  static void wait_for_ready_status(const std::string& url, int status) {
    const Instant deadline = read_clocks().mono + kPatience;
    while (ready_status(url) != status) ASSERT_LT(read_clocks().mono, deadline);
  }

  std::string dir_;
  std::string data_;
};

TEST_F(ServeTest, SaysWhereItIsAndEndsCleanly) {
  Server server(data_);
  EXPECT_EQ(server.said().substr(0, 31), "dhub serves on http://127.0.0.1");
  std::stringstream file;
  file << std::ifstream(data_ + "/server.json").rdbuf();
  EXPECT_NE(file.str().find('"' + server.url() + '"'), std::string::npos) << file.str();
  EXPECT_NE(file.str().find(fmt::format("\"pid\": {}", server.pid())), std::string::npos);
  EXPECT_EQ(dhub({"pipelines", "list"}).exit, 0) << "the client finds server and token by itself";
  wait_for_ready_status(server.url(), 200);
  EXPECT_EQ(server.end(SIGTERM), 0);
  EXPECT_FALSE(std::filesystem::exists(data_ + "/server.json"));
  EXPECT_TRUE(std::filesystem::exists(data_ + "/admin-token"));
}

TEST_F(ServeTest, TheDoctorFindsItReadyAndLeavesItAlone) {
  Server server(data_);
  wait_for_ready_status(server.url(), 200);
  std::ostringstream out;
  std::ostringstream err;
  std::istringstream in;
  cli::Console console{out, err, in, 80};
  EXPECT_EQ(doctor({{{"data", data_}}, ""}, {}, {}, console, {}), 0) << out.str();
  EXPECT_NE(out.str().find("ready at " + server.url()), std::string::npos) << out.str();
  EXPECT_NE(out.str().find("in use by a running server"), std::string::npos) << out.str();
  EXPECT_EQ(server.end(SIGTERM), 0);
}

TEST_F(ServeTest, WithoutTheTokenNothingIsAnswered) {
  const Server server(data_);
  cli::HttpRequest request;
  request.url = server.url() + "/api/v1/pipelines";
  EXPECT_EQ(cli::HttpClient().send(request)->status, 401);
}

TEST_F(ServeTest, WithAuthenticationOffNoTokenIsMade) {
  const Server server(data_, "127.0.0.1:0", "off");
  EXPECT_EQ(dhub({"pipelines", "list"}).exit, 0);
  EXPECT_FALSE(std::filesystem::exists(data_ + "/admin-token"));
}

TEST_F(ServeTest, ASecondServerOnTheDirectoryHarmsNothing) {
  Server first(data_);
  Server second(data_);
  EXPECT_EQ(second.said(), "");
  EXPECT_EQ(second.wait(), 1);
  EXPECT_EQ(dhub({"pipelines", "list"}).exit, 0);
  EXPECT_EQ(first.end(SIGTERM), 0);
}

TEST_F(ServeTest, ATakenPortIsAnErrorThatLeavesNoServerFile) {
  const Server first(data_);
  const std::string other = dir_ + "/other";
  Server second(other, first.url().substr(7));
  EXPECT_EQ(second.wait(), 1);
  EXPECT_FALSE(std::filesystem::exists(other + "/server.json"));
}

// Triggers run by then, so it must be as orderly as any other end.
TEST_F(ServeTest, AStartThatCannotWriteItsFileEndsCleanly) {
  {
    Server server(data_);
    ASSERT_EQ(dhub({"pipelines", "apply", "-f", "-"}, "id: p\nname: P\noptions: {event: t}\nsteps: []\n").exit, 0);
    ASSERT_EQ(dhub({"events", "start", "p", "--wait"}).exit, 0);
    ASSERT_EQ(dhub({"topics", "publish", "t", "--value", "1"}).exit, 0);
    EXPECT_EQ(server.end(SIGKILL), 256 + SIGKILL);
  }
  std::filesystem::remove(data_ + "/server.json");
  std::filesystem::create_directory(data_ + "/server.json");
  Server second(data_);
  EXPECT_EQ(second.said(), "");
  EXPECT_EQ(second.wait(), 1) << "it ends by itself, and not by a signal";
  auto db = store::Connection::open(data_ + "/store.db", store::OpenMode::ReadOnly, "");
  ASSERT_TRUE(db);
  auto row = (*db)->query("SELECT owner_epoch, clean FROM positions");
  ASSERT_TRUE(row.next());
  EXPECT_EQ(row.integer(1), 1) << "after " << row.integer(0) << " owners";
}

TEST_F(ServeTest, AWrongConfigurationIsUsage) {
  Server server(data_, "0.0.0.0:0");
  EXPECT_EQ(server.wait(), 2);
  EXPECT_FALSE(std::filesystem::exists(data_)) << "nothing was touched";
}

TEST_F(ServeTest, AKilledServerIsFollowedByTheNext) {
  std::string first_url;
  {
    Server first(data_);
    first_url = first.url();
    EXPECT_EQ(first.end(SIGKILL), 256 + SIGKILL);
  }
  EXPECT_EQ(dhub({"pipelines", "list"}).exit, 7);
  Server second(data_);
  EXPECT_EQ(dhub({"pipelines", "list"}).exit, 0);
  EXPECT_EQ(second.end(SIGTERM), 0);
}

TEST_F(ServeTest, EndingLetsAnEventFinishAndIsNotReadyMeanwhile) {
  Server server(data_);
  begin_an_event();
  EXPECT_EQ(ready_status(server.url()), 200);
  server.send(SIGTERM);
  wait_for_ready_status(server.url(), 503);
  EXPECT_EQ(dhub({"events", "status", "p"}).exit, 0) << "everything else goes on";
  go();
  EXPECT_EQ(server.wait(), 0);
  Server next(data_);
  EXPECT_NE(dhub({"messages", "get", "p", "0", "0"}).out.find("state: succeeded"), std::string::npos);
  EXPECT_EQ(next.end(SIGTERM), 0);
}

TEST_F(ServeTest, ASecondSignalEndsAtOnceAndTheEventRunsAgain) {
  Server server(data_);
  begin_an_event();
  server.send(SIGINT);
  wait_for_ready_status(server.url(), 503);
  EXPECT_EQ(server.end(SIGTERM), 128 + SIGTERM);
  go();
  Server next(data_);
  const Instant deadline = read_clocks().mono + kPatience;
  while (dhub({"messages", "get", "p", "0", "0"}).out.find("state: succeeded") == std::string::npos)
    ASSERT_LT(read_clocks().mono, deadline);
  EXPECT_EQ(next.end(SIGTERM), 0);
}

}  // namespace
}  // namespace dhub::wiring

// The server under test starts its host of instances as `<this program> runner --fd N`.
int main(int argc, char** argv) {
  if (argc == 4 && std::string(argv[1]) == "runner") return dhub::wiring::run_runner(std::atoi(argv[3]));
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
