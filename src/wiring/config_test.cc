// SPDX-License-Identifier: Apache-2.0
#include "wiring/config.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <sstream>
#include <string>

#include "base/version.h"
#include "wiring/config_view.h"

namespace dhub::wiring {
namespace {

class ConfigTest : public testing::Test {
 protected:
  ConfigTest() {
    std::string name = "/tmp/dhub-config-XXXXXX";
    dir_ = ::mkdtemp(name.data());
  }
  ~ConfigTest() override { std::filesystem::remove_all(dir_); }

  std::string write(const std::string& content) {
    std::ofstream(dir_ + "/dhub.yaml") << content;
    return dir_ + "/dhub.yaml";
  }
  // The error of a configuration file, without the directory.
  std::string error_of(const std::string& content) {
    const auto config = read_config({{}, write(content)}, home_);
    if (config) return "no error";
    std::string message = config.error().message;
    if (const auto at = message.find(dir_ + '/'); at != std::string::npos) message.erase(at, dir_.size() + 1);
    return message;
  }

  std::string dir_;
  Environment home_{{"HOME", "/home/u"}};
};

std::map<std::string, std::string> sources(const Config& config) {
  std::map<std::string, std::string> found;
  for (const Setting& setting : config.settings) found[setting.key] = setting.source;
  return found;
}

TEST_F(ConfigTest, DefaultsSufficeAndAreSafe) {
  const auto config = read_config({}, home_);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->host, "127.0.0.1");
  EXPECT_EQ(config->port, 8080);
  EXPECT_EQ(config->data, "/home/u/.local/state/dhub");
  EXPECT_EQ(config->body_limit, 8U << 20);
  EXPECT_FALSE(config->insecure_http);
  for (const auto& [key, source] : sources(*config)) EXPECT_EQ(source, "default") << key;
}

TEST_F(ConfigTest, InstancesAreAsManyAsTheMachineHasOrAsManyAsIsSaid) {
  EXPECT_EQ(read_config({}, home_)->most_instances, 0);
  home_["DHUB_INSTANCES_MOST"] = "12";
  const auto config = read_config({{}, write("instances:\n  most: 3\n  memory: 2GiB\n")}, home_);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->most_instances, 12);
  EXPECT_EQ(config->instance_memory, 2ULL << 30);
  home_.erase("DHUB_INSTANCES_MOST");
  EXPECT_EQ(error_of("instances:\n  most: 0\n"),
            "dhub.yaml:2: instances.most: '0' is neither auto nor a number from 1 to 10000.");
  EXPECT_EQ(error_of("instances:\n  most: 3x\n"),
            "dhub.yaml:2: instances.most: '3x' is neither auto nor a number from 1 to 10000.");
  EXPECT_EQ(error_of("instances:\n  memory: 1MiB\n"),
            "dhub.yaml:2: instances.memory: '1MiB' is less than 32MiB, which one instance needs.");
}

TEST_F(ConfigTest, FlagsBeatTheEnvironmentBeatsTheFile) {
  cli::ServerFlags flags{{{"listen", "127.0.0.1:1"}}, write("listen: 127.0.0.1:3\ndata: /f\nlog:\n  level: warn\n")};
  Environment environment{{"HOME", "/h"}, {"DHUB_LISTEN", "127.0.0.1:2"}, {"DHUB_DATA", "/e"}};
  const auto config = read_config(flags, environment);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->port, 1);
  EXPECT_EQ(config->data, "/e");
  EXPECT_EQ(config->log_level, LogLevel::Warn);
  auto found = sources(*config);
  EXPECT_EQ(found["listen"], "--listen");
  EXPECT_EQ(found["data"], "DHUB_DATA");
  EXPECT_EQ(found["log.level"], dir_ + "/dhub.yaml:4");
  EXPECT_EQ(found["log.format"], "default");
}

TEST_F(ConfigTest, TheFileMayBeNamedByTheEnvironment) {
  home_["DHUB_CONFIG"] = write("listen: 127.0.0.1:9\n");
  EXPECT_EQ(read_config({}, home_)->port, 9);
}

TEST_F(ConfigTest, AnEmptyFileAndAnEmptyVariableSayNothing) {
  home_["DHUB_LISTEN"] = "";
  EXPECT_EQ(read_config({{}, write("# nothing\n")}, home_)->port, 8080);
}

TEST_F(ConfigTest, AnUnknownKeyIsAnErrorWithItsLine) {
  EXPECT_EQ(error_of("data: /d\nzzzzzzzz: x\n").substr(0, 66),
            "dhub.yaml:2: there is no setting 'zzzzzzzz'; known are: listen, da");
  EXPECT_EQ(error_of("data: /d\nlog:\n  levle: warn\n"),
            "dhub.yaml:3: there is no setting 'log.levle'; did you mean 'log.level'?");
}

TEST_F(ConfigTest, AKeyTwiceIsAnErrorWithItsLine) {
  EXPECT_EQ(error_of("data: /d\ndata: /e\n"), "dhub.yaml:2:1: the key 'data' stands here twice");
}

TEST_F(ConfigTest, AValueThatIsNoneNamesItsSource) {
  EXPECT_EQ(error_of("limits:\n  body: lots\n").substr(0, 51), "dhub.yaml:2: limits.body: 'lots' is not a size; wri");
  EXPECT_EQ(error_of("limits: {body: 1}\n"), "dhub.yaml:1: limits.body: '1' is not between 1KiB and 1GiB.");
  EXPECT_EQ(error_of("listen: [a]\n"), "dhub.yaml:1: listen: it needs one value, such as 127.0.0.1:8080.");
  EXPECT_EQ(error_of("listen:\n"), "dhub.yaml:1: listen: it needs one value, such as 127.0.0.1:8080.");
  EXPECT_EQ(error_of("- a\n"), "dhub.yaml must be one mapping of settings.");
  EXPECT_EQ(error_of("insecure_http: yes\n"), "dhub.yaml:1: insecure_http: 'yes' is neither true nor false.");
  const auto flag = read_config({{{"log.format", "xml"}}, ""}, home_);
  EXPECT_EQ(flag.error().message.substr(0, 38), "--log-format: log.format: 'xml' is not");
  EXPECT_FALSE(read_config({{{"python.interpreter", "python3"}}, ""}, home_)) << "PATH is not asked";
  home_["DHUB_SHUTDOWN_GRACE"] = "10";
  EXPECT_EQ(read_config({}, home_).error().message.substr(0, 36), "DHUB_SHUTDOWN_GRACE: shutdown.grace:");
}

TEST_F(ConfigTest, AFileThatCannotBeReadIsAnError) {
  EXPECT_FALSE(read_config({{}, dir_ + "/none.yaml"}, home_));
  EXPECT_FALSE(read_config({{}, dir_}, home_));
}

TEST_F(ConfigTest, BeyondThisMachineOnlyWhenItIsSaid) {
  for (const char* listen :
       {"0.0.0.0:8080", "[::]:8080", "10.0.0.1:80", "example.com:80", "127.0.0.1.example.com:80"}) {
    EXPECT_FALSE(read_config({{{"listen", listen}}, ""}, home_)) << listen;
    EXPECT_TRUE(read_config({{{"listen", listen}, {"insecure_http", "true"}}, ""}, home_)) << listen;
  }
  for (const char* listen : {"127.0.0.1:0", "localhost:1", "[::1]:65535", "127.1.2.3:5"})
    EXPECT_TRUE(read_config({{{"listen", listen}}, ""}, home_)) << listen;
}

TEST_F(ConfigTest, WithoutAuthenticationOnlyForThisMachine) {
  EXPECT_TRUE(read_config({}, home_)->auth);
  EXPECT_FALSE(read_config({{}, write("auth: off\n")}, home_)->auth);
  EXPECT_FALSE(read_config({{{"auth", "false"}}, ""}, home_));
  EXPECT_FALSE(read_config({{{"auth", "off"}, {"listen", "0.0.0.0:80"}, {"insecure_http", "true"}}, ""}, home_));
}

TEST_F(ConfigTest, AnAddressIsHostAndPort) {
  for (const char* text : {"", "8080", ":8080", "host", "host:", "host:x", "host:65536", "host:-1", "::1:80", "[]:80"})
    EXPECT_FALSE(parse_address(text)) << text;
  EXPECT_EQ(parse_address("[::1]:80")->host, "::1");
}

TEST_F(ConfigTest, WithoutAHomeADirectoryMustBeNamed) {
  EXPECT_FALSE(read_config({}, {}));
  EXPECT_TRUE(read_config({{{"data", "/d"}}, ""}, {}));
}

TEST_F(ConfigTest, ARelativeDataDirectoryIsMadeAbsolute) {
  EXPECT_EQ(read_config({{{"data", "x/../y"}}, ""}, home_)->data, std::filesystem::current_path().string() + "/y");
}

TEST_F(ConfigTest, AMisspeltVariableIsWarnedOf) {
  home_["DHUB_LISTN"] = "127.0.0.1:1";
  home_["DHUB_SERVICE_PORT_HTTP_ALT"] = "80";
  const auto config = read_config({}, home_);
  ASSERT_EQ(config->warnings.size(), 1U);
  EXPECT_NE(config->warnings[0].find("did you mean DHUB_LISTEN?"), std::string::npos);
}

TEST_F(ConfigTest, ViewShowsValueAndSource) {
  std::ostringstream out;
  std::ostringstream err;
  std::istringstream in;
  cli::Console console{out, err, in, 80};
  EXPECT_EQ(view_config({{{"listen", "127.0.0.1:1"}}, ""}, home_, {}, console), 0);
  EXPECT_EQ(out.str().substr(0, out.str().find('\n')).substr(0, 7), "SETTING");
  EXPECT_NE(out.str().find("127.0.0.1:1"), std::string::npos);
  EXPECT_NE(out.str().find("--listen"), std::string::npos);
  EXPECT_EQ(view_config({{{"listen", "x"}}, ""}, home_, {}, console), 2);
  EXPECT_NE(err.str().find("error: configuration: --listen"), std::string::npos);
}

TEST(Version, IsTheOneOfTheBuild) {
  std::ifstream file(DHUB_SOURCE_DIR "/CMakeLists.txt");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find("project(dhub VERSION " + std::string(kVersion) + " "), std::string::npos);
}

}  // namespace
}  // namespace dhub::wiring
