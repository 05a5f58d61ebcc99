// SPDX-License-Identifier: Apache-2.0
#include "wiring/clusters.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <sstream>
#include <string>

#include "wiring/config_view.h"

namespace dhub::wiring {
namespace {

constexpr const char* kMain = "topics:\n  clusters:\n    main:\n      kafka:\n        bootstrap.servers: h:1\n";

class ClustersTest : public testing::Test {
 protected:
  ClustersTest() {
    std::string name = "/tmp/dhub-clusters-XXXXXX";
    dir_ = ::mkdtemp(name.data());
  }
  ~ClustersTest() override { std::filesystem::remove_all(dir_); }

  std::string write(const std::string& name, const std::string& content) {
    std::ofstream(dir_ + '/' + name) << content;
    return dir_ + '/' + name;
  }
  Result<Config> read(const std::string& content) { return read_config({{}, write("c.yaml", content)}, environment_); }
  // Without the directory.
  std::string error_of(const std::string& content) {
    const auto config = read(content);
    if (config) return "no error";
    std::string message = config.error().message;
    for (auto at = message.find(dir_ + '/'); at != std::string::npos; at = message.find(dir_ + '/'))
      message.erase(at, dir_.size() + 1);
    return message;
  }
  static std::map<std::string, std::string> values(const ClusterConfig& cluster) {
    std::map<std::string, std::string> found;
    for (const Setting& property : cluster.properties) found[property.key] = property.value;
    return found;
  }
  static Setting setting(const Config& config, const std::string& key) {
    for (const Setting& one : config.settings)
      if (one.key == key) return one;
    return {};
  }

  std::string dir_;
  Environment environment_{{"HOME", "/home/u"}};
};

TEST_F(ClustersTest, WithoutAWordTopicsAreEmbedded) {
  const auto config = read("");
  ASSERT_TRUE(config);
  EXPECT_TRUE(config->clusters.empty());
  EXPECT_EQ(config->default_cluster, "embedded");
}

TEST_F(ClustersTest, PropertiesAreTakenAsTheyAreWritten) {
  const auto config = read(
      "topics:\n  default: main\n  clusters:\n    main:\n      kafka:\n        bootstrap.servers: h:1,i:2\n"
      "        enable.ssl.certificate.verification: false\n        socket.timeout.ms: 5000\n"
      "    b-2: {kafka: {bootstrap.servers: 'j:3'}}\n");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->default_cluster, "main");
  ASSERT_EQ(config->clusters.size(), 2U);
  EXPECT_EQ(config->clusters[0].name, "b-2");
  EXPECT_EQ(config->clusters[1].name, "main");
  EXPECT_EQ(values(config->clusters[1]),
            (std::map<std::string, std::string>{{"bootstrap.servers", "h:1,i:2"},
                                                {"enable.ssl.certificate.verification", "false"},
                                                {"socket.timeout.ms", "5000"}}));
  EXPECT_EQ(config->clusters[1].properties[0].source, dir_ + "/c.yaml:6");
}

TEST_F(ClustersTest, VariablesAndFilesAreExpandedOnce) {
  environment_["HOST"] = "h";
  environment_["PASSWORD"] = "${env:HOST}";
  const std::string secret = write("secret", "s3cret\n");
  const auto config = read(
      "topics:\n  clusters:\n    main:\n      kafka:\n        bootstrap.servers: ${env:HOST}:1,${env:HOST}:2\n"
      "        sasl.password: ${env:PASSWORD}\n        sasl.username: a$b${}\n"
      "        ssl.key.password: ${file:" +
      secret + "}\n");
  ASSERT_TRUE(config) << config.error().message;
  auto found = values(config->clusters[0]);
  EXPECT_EQ(found["bootstrap.servers"], "h:1,h:2");
  EXPECT_EQ(found["sasl.password"], "${env:HOST}");
  EXPECT_EQ(found["sasl.username"], "a$b${}");
  EXPECT_EQ(found["ssl.key.password"], "s3cret");
}

TEST_F(ClustersTest, WhatCannotBeExpandedNamesItsLine) {
  const std::string base = kMain;
  EXPECT_EQ(error_of(base + "        sasl.password: ${env:NOWHERE}\n"),
            "c.yaml:6: sasl.password: the environment does not set NOWHERE.");
  EXPECT_EQ(error_of(base + "        sasl.password: ${file:" + dir_ + "/none}\n"),
            "c.yaml:6: sasl.password: the file none cannot be read: No such file or directory.");
  EXPECT_EQ(error_of(base + "        sasl.password: ${file:" + dir_ + "}\n").substr(0, 33),
            "c.yaml:6: sasl.password: the file");
  EXPECT_EQ(error_of(base + "        sasl.password: ${file:x}\n"),
            "c.yaml:6: sasl.password: ${file:x} does not name an absolute path.");
  EXPECT_EQ(error_of(base + "        sasl.password: ${envi:x}\n"),
            "c.yaml:6: sasl.password: there is no ${envi:...}; known are ${env:NAME} and ${file:/path}.");
  EXPECT_EQ(error_of(base + "        sasl.password: ${env:x\n"), "c.yaml:6: sasl.password: '${env:' has no '}'.");
}

TEST_F(ClustersTest, WhatIsWrongIsAnErrorWithItsLine) {
  EXPECT_EQ(error_of("topics:\n  clusters:\n    main:\n      kafak:\n        bootstrap.servers: h:1\n"),
            "c.yaml:4: topics.clusters.main: there is no setting 'kafak'; did you mean 'kafka'?");
  EXPECT_EQ(error_of("topics:\n  clusters:\n    main:\n      kafka:\n        client.id: x\n"),
            "c.yaml:4: topics.clusters.main.kafka: it needs 'bootstrap.servers', such as 127.0.0.1:9092.");
  EXPECT_EQ(error_of("topics:\n  clusters:\n    main: {}\n").substr(0, 38), "c.yaml:3: topics.clusters.main: it nee");
  EXPECT_EQ(error_of("topics:\n  clusters: [a]\n").substr(0, 40), "c.yaml:2: topics.clusters: it needs a ma");
  EXPECT_EQ(error_of(std::string(kMain) + "        a: {b: c}\n").substr(0, 32), "c.yaml:6: a: it needs one value;");
  EXPECT_EQ(error_of(std::string(kMain) + "        a: 1.50\n"), "c.yaml:6: a: write it in quotes.");
  EXPECT_EQ(error_of("topics:\n  cluster:\n    main: {}\n"),
            "c.yaml:2: there is no setting 'topics.cluster'; did you mean 'topics.clusters'?");
}

TEST_F(ClustersTest, AClusterHasTheNameOfAHost) {
  for (const char* name : {"embedded", "Main", "-a", "a_b", "a/b", "''"})
    EXPECT_EQ(error_of("topics:\n  clusters:\n    " + std::string(name) + ": {kafka: {bootstrap.servers: 'h:1'}}\n")
                  .substr(0, 27),
              "c.yaml:3: topics.clusters: ")
        << name;
}

TEST_F(ClustersTest, TheDefaultIsACluster) {
  EXPECT_EQ(error_of(std::string(kMain) + "  default: mian\n"),
            "c.yaml:6: topics.default: there is no cluster 'mian'; did you mean 'main'?");
  EXPECT_EQ(error_of("topics:\n  default: kafka\n"),
            "c.yaml:2: topics.default: there is no cluster 'kafka'; known are: embedded");
  environment_["DHUB_TOPICS_DEFAULT"] = "main";
  EXPECT_EQ(read(kMain)->default_cluster, "main");
  environment_["DHUB_TOPICS_DEFAULT"] = "other";
  EXPECT_EQ(error_of(kMain).substr(0, 36), "DHUB_TOPICS_DEFAULT: topics.default:");
}

TEST_F(ClustersTest, OneVariableSuffices) {
  environment_["DHUB_KAFKA_BOOTSTRAP_SERVERS"] = "h:1";
  const auto config = read_config({}, environment_);
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->clusters.size(), 1U);
  EXPECT_EQ(config->clusters[0].name, "kafka");
  EXPECT_EQ(values(config->clusters[0])["bootstrap.servers"], "h:1");
  EXPECT_EQ(config->default_cluster, "kafka");
  EXPECT_EQ(setting(*config, "topics.default").source, "DHUB_KAFKA_BOOTSTRAP_SERVERS");
  EXPECT_TRUE(config->warnings.empty());
  environment_["DHUB_TOPICS_DEFAULT"] = "embedded";
  EXPECT_EQ(read_config({}, environment_)->default_cluster, "embedded");
}

TEST_F(ClustersTest, TheVariableMovesTheClusterOfItsNameAndJoinsOthers) {
  environment_["DHUB_KAFKA_BOOTSTRAP_SERVERS"] = "h:9";
  const auto config =
      read(std::string(kMain) + "    kafka:\n      kafka:\n        bootstrap.servers: h:2\n        client.id: x\n");
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->clusters.size(), 2U);
  EXPECT_EQ(values(config->clusters[0]),
            (std::map<std::string, std::string>{{"bootstrap.servers", "h:9"}, {"client.id", "x"}}));
}

TEST_F(ClustersTest, NobodyIsShownASecret) {
  environment_["SERVERS"] = "from-env:1";
  const std::string file =
      write("v.yaml",
            "topics:\n  clusters:\n    main:\n      kafka:\n        bootstrap.servers: ${env:SERVERS}\n"
            "        client.id: shown\n        sasl.password: hidden\n"
            "        sasl.oauthbearer.client.secret: hidden\n        ssl.key.password: hidden\n"
            "        ssl.key.pem: hidden\n        ssl.keystore.password: hidden\n");
  std::ostringstream out, err;
  std::istringstream in;
  cli::Console console{out, err, in, 200};
  for (const auto format : {cli::OutputFormat::Table, cli::OutputFormat::Json}) {
    cli::OutputFlags output;
    output.format = format;
    ASSERT_EQ(view_config({{}, file}, environment_, output, console), 0) << err.str();
  }
  EXPECT_EQ(out.str().find("hidden"), std::string::npos) << out.str();
  EXPECT_EQ(out.str().find("from-env"), std::string::npos);
  EXPECT_NE(out.str().find("topics.clusters.main.kafka.ssl.key.pem"), std::string::npos);
  EXPECT_NE(out.str().find("***"), std::string::npos);
  EXPECT_NE(out.str().find("shown"), std::string::npos);
}

}  // namespace
}  // namespace dhub::wiring
