// SPDX-License-Identifier: Apache-2.0
#include "wiring/data_directory.h"

#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <signal.h>
#include <sstream>
#include <string>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include "base/version.h"
#include "wiring/stop_signals.h"

namespace dhub::wiring {
namespace {

class DataDirectoryTest : public testing::Test {
 protected:
  DataDirectoryTest() {
    std::string name = "/tmp/dhub-data-XXXXXX";
    dir_ = ::mkdtemp(name.data());
  }
  ~DataDirectoryTest() override { std::filesystem::remove_all(dir_); }

  std::string read(const std::string& name) const {
    std::ifstream file(dir_ + '/' + name);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  void write(const std::string& name, const std::string& content, mode_t mode) const {
    std::ofstream(dir_ + '/' + name) << content;
    ::chmod((dir_ + '/' + name).c_str(), mode);
  }

  std::string dir_;
};

TEST_F(DataDirectoryTest, TheTokenIsMadeOnceAndOnlyForUs) {
  const auto made = ensure_admin_token(dir_);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(made->made);
  EXPECT_EQ(made->token.size(), 64U);
  EXPECT_EQ(made->token.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(read("admin-token"), made->token + "\n");
  struct stat status = {};
  ASSERT_EQ(::stat(made->path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  const auto again = ensure_admin_token(dir_);
  EXPECT_FALSE(again->made);
  EXPECT_EQ(again->token, made->token);
}

TEST_F(DataDirectoryTest, ADraftOfAKilledStartIsReplaced) {
  write("admin-token.new", "half", 0600);
  EXPECT_EQ(ensure_admin_token(dir_)->token.size(), 64U);
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/admin-token.new"));
}

TEST_F(DataDirectoryTest, ATokenThatOthersCanReadIsRefused) {
  write("admin-token", std::string(64, 'a'), 0640);
  EXPECT_EQ(ensure_admin_token(dir_).error().code, ErrorCode::Conflict);
}

TEST_F(DataDirectoryTest, AFileWithoutATokenIsRefused) {
  for (const char* content : {"", "short", "two words that are long enough to be a token"}) {
    write("admin-token", content, 0600);
    EXPECT_EQ(ensure_admin_token(dir_).error().code, ErrorCode::Conflict) << content;
  }
}

TEST_F(DataDirectoryTest, NoLinkIsFollowed) {
  write("target", std::string(64, 'a'), 0600);
  std::filesystem::create_symlink("target", dir_ + "/admin-token");
  EXPECT_FALSE(ensure_admin_token(dir_));
}

TEST_F(DataDirectoryTest, TheServerFileSaysWhereTheServerIs) {
  ASSERT_TRUE(write_server_file(dir_, "http://0.0.0.0:81"));
  ASSERT_TRUE(write_server_file(dir_, "http://127.0.0.1:80"));
  EXPECT_EQ(read("server.json"), fmt::format("{{\"url\": \"http://127.0.0.1:80\", \"pid\": {}, \"version\": \"{}\"}}\n",
                                             ::getpid(), kVersion));
  remove_server_file(dir_);
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/server.json"));
  remove_server_file(dir_);
}

TEST_F(DataDirectoryTest, ADirectoryThatIsNotThereIsAnError) {
  EXPECT_FALSE(ensure_admin_token(dir_ + "/none"));
  EXPECT_FALSE(write_server_file(dir_ + "/none", "http://h:1"));
}

TEST(UrlForClients, ReachesAServerThatListensEverywhere) {
  EXPECT_EQ(url_for_clients("http://0.0.0.0:8080"), "http://127.0.0.1:8080");
  EXPECT_EQ(url_for_clients("http://[::]:8080"), "http://[::1]:8080");
  EXPECT_EQ(url_for_clients("http://10.0.0.1:8080"), "http://10.0.0.1:8080");
}

TEST(StopSignals, ASignalIsReceivedAndNotActedUpon) {
  StopSignals signals;
  ASSERT_EQ(::kill(::getpid(), SIGTERM), 0);
  const auto wakeup = signals.wait(std::nullopt);
  EXPECT_EQ(wakeup.cause, StopSignals::Cause::Signal);
  EXPECT_EQ(wakeup.signal, SIGTERM);
  EXPECT_EQ(signals.wait(Duration::zero()).cause, StopSignals::Cause::TimedOut);
}

TEST(StopSignals, WakeEndsTheWaitAndASignalGoesFirst) {
  StopSignals signals;
  {
    const std::jthread other([&] { signals.wake(); });
    EXPECT_EQ(signals.wait(std::nullopt).cause, StopSignals::Cause::Woken);
  }
  signals.wake();
  ASSERT_EQ(::kill(::getpid(), SIGINT), 0);
  EXPECT_EQ(signals.wait(std::nullopt).signal, SIGINT);
  EXPECT_EQ(signals.wait(std::nullopt).cause, StopSignals::Cause::Woken);
}

}  // namespace
}  // namespace dhub::wiring
