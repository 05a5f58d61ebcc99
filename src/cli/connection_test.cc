// SPDX-License-Identifier: Apache-2.0
#include "cli/connection.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

#include "cli/http_client.h"

namespace dhub::cli {
namespace {

class ConnectionTest : public testing::Test {
 protected:
  ConnectionTest() {
    std::string name = "/tmp/dhub-cli-XXXXXX";
    dir_ = ::mkdtemp(name.data());
  }
  ~ConnectionTest() override { std::filesystem::remove_all(dir_); }

  std::string write(const std::string& name, const std::string& content) {
    std::ofstream(dir_ + '/' + name) << content;
    return dir_ + '/' + name;
  }
  [[nodiscard]] Environment with_data(Environment more = {}) const {
    more["DHUB_DATA"] = dir_;
    return more;
  }

  std::string dir_;
};

TEST_F(ConnectionTest, TheFlagBeatsTheEnvironmentBeatsTheDataDirectory) {
  write("server.json", R"({"url": "http://127.0.0.1:1", "pid": 1, "version": "0"})");
  EXPECT_EQ(find_connection({}, with_data())->url, "http://127.0.0.1:1");
  EXPECT_EQ(find_connection({}, with_data({{"DHUB_URL", "http://e:2/"}}))->url, "http://e:2");
  EXPECT_EQ(find_connection({.url = "https://f:3"}, with_data({{"DHUB_URL", "http://e:2"}}))->url, "https://f:3");
  EXPECT_EQ(find_connection({.data = dir_}, {{"DHUB_URL", "http://e:2"}})->url, "http://127.0.0.1:1")
      << "--data was meant";
}

TEST_F(ConnectionTest, NoServerIsUnreachable) {
  const auto found = find_connection({}, with_data());
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().exit, ExitCode::Unreachable);
  EXPECT_EQ(found.error().next, "dhub serve");
  write("server.json", "half a f");
  EXPECT_EQ(find_connection({}, with_data()).error().exit, ExitCode::Unreachable);
}

TEST_F(ConnectionTest, OnlyHttpUrls) {
  for (const char* url : {"127.0.0.1:8080", "ftp://h", "file:///etc/passwd", "http://h/?a=b", "http://a b"})
    EXPECT_EQ(find_connection({.url = url}, {}).error().exit, ExitCode::Usage) << url;
}

TEST_F(ConnectionTest, TheTokenHasItsOrder) {
  write("admin-token", "admin\n");
  const std::string file = write("file", "  of-file \n");
  const std::string other = write("other", "of-other");
  const ConnectionFlags local{.url = "http://127.0.0.1:1"};
  EXPECT_EQ(find_connection(local, with_data())->token, "admin");
  EXPECT_EQ(find_connection(local, with_data({{"DHUB_TOKEN_FILE", file}}))->token, "of-file");
  EXPECT_EQ(find_connection(local, with_data({{"DHUB_TOKEN_FILE", file}, {"DHUB_TOKEN", "env"}}))->token, "env");
  EXPECT_EQ(find_connection({.url = local.url, .token_file = other}, with_data({{"DHUB_TOKEN", "env"}}))->token,
            "of-other");
}

TEST_F(ConnectionTest, TheAdminTokenGoesToNoOtherMachine) {
  write("admin-token", "admin");
  write("server.json", R"({"url": "http://10.0.0.7:8080"})");
  EXPECT_EQ(find_connection({.url = "http://example.com:8080"}, with_data())->token, "");
  EXPECT_EQ(find_connection({.url = "http://127.0.0.1.example.com"}, with_data())->token, "");
  EXPECT_EQ(find_connection({.url = "http://127.0.0.1@example.com"}, with_data())->token, "");
  EXPECT_EQ(find_connection({}, with_data())->token, "admin") << "the server of the directory itself";
}

TEST_F(ConnectionTest, ATokenThatIsNoneIsRefused) {
  for (const char* content : {"", "two words", "line\nbreak", "\x01"}) {
    const auto found = find_connection({.url = "http://h", .token_file = write("token", content)}, {});
    ASSERT_FALSE(found) << content;
    EXPECT_EQ(found.error().exit, ExitCode::Unauthorized);
  }
  EXPECT_EQ(find_connection({.url = "http://h", .token_file = dir_ + "/none"}, {}).error().exit,
            ExitCode::Unauthorized);
  EXPECT_EQ(find_connection({.url = "http://h", .token_file = dir_}, {}).error().exit, ExitCode::Unauthorized);
}

TEST(DataDir, FollowsTheEnvironment) {
  EXPECT_EQ(default_data_dir({{"DHUB_DATA", "/d"}, {"XDG_STATE_HOME", "/x"}, {"HOME", "/h"}}), "/d");
  EXPECT_EQ(default_data_dir({{"XDG_STATE_HOME", "/x"}, {"HOME", "/h"}}), "/x/dhub");
  EXPECT_EQ(default_data_dir({{"HOME", "/h"}, {"XDG_STATE_HOME", ""}}), "/h/.local/state/dhub");
  EXPECT_EQ(default_data_dir({}), "");
}

TEST(HttpClient, EncodesSegments) {
  EXPECT_EQ(percent_encode("a/b?c#d e%"), "a%2Fb%3Fc%23d%20e%25");
  EXPECT_EQ(percent_encode(".."), "%2E%2E");
  EXPECT_EQ(percent_encode("a.b"), "a.b");
}

TEST(HttpClient, KnowsLoopback) {
  for (const char* url : {"http://127.0.0.1:80", "http://localhost", "http://[::1]:8080/x", "https://127.9.9.9"})
    EXPECT_TRUE(is_loopback_url(url)) << url;
  for (const char* url : {"http://0.0.0.0", "http://localhost.evil.com", "http://127.0.0.1.nip.io",
                          "http://u@127.0.0.1", "127.0.0.1", "http://[::2]", "http://evil\\@127.0.0.1"})
    EXPECT_FALSE(is_loopback_url(url)) << url;
}

}  // namespace
}  // namespace dhub::cli
