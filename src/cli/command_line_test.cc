// SPDX-License-Identifier: Apache-2.0
#include "cli/command_line.h"

#include <gtest/gtest.h>
#include <string>

namespace dhub::cli {
namespace {

NothingToRun nothing(const std::vector<std::string>& words) {
  const Invocation invocation = parse_command_line(words);
  const auto* result = std::get_if<NothingToRun>(&invocation);
  return result != nullptr ? *result : NothingToRun{ExitCode::Failed, "it parsed"};
}

TEST(CommandLine, HelpIsAskedForAndHasExamplesFirst) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"--help"}, {"-h"}, {"pipelines", "--help"}, {"events", "start", "--help"}, {"serve", "--help"}}) {
    const NothingToRun help = nothing(words);
    EXPECT_EQ(help.exit, ExitCode::Ok);
    EXPECT_LT(help.text.find("Examples:"), help.text.find("Usage:")) << help.text;
  }
}

TEST(CommandLine, TheHiddenVerbIsNotListed) {
  EXPECT_EQ(nothing({"--help"}).text.find("runner"), std::string::npos);
  EXPECT_EQ(nothing({}).text.find("runner"), std::string::npos);
}

TEST(CommandLine, AnUnknownVerbIsToldWhatWasMeant) {
  EXPECT_EQ(nothing({"pipeline", "list"}).text,
            "error: usage: 'pipeline' is not a verb of dhub; did you mean 'pipelines'?\ntry: dhub --help\n");
  EXPECT_EQ(nothing({"events", "statsu", "x"}).text,
            "error: usage: 'statsu' is not a verb of dhub events; did you mean 'status'?\ntry: dhub events --help\n");
  EXPECT_NE(nothing({"events", "zzzzzz"}).text.find("known are: start, status"), std::string::npos);
}

TEST(CommandLine, AnUnknownOptionIsToldWhatWasMeant) {
  EXPECT_NE(nothing({"topics", "publish", "t", "--vlaue", "1"}).text.find("did you mean '--value'?"),
            std::string::npos);
  EXPECT_NE(nothing({"pipelines", "list", "--ur=x"}).text.find("did you mean '--url'?"), std::string::npos);
}

TEST(CommandLine, WrongUseIsExitTwo) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{},
                                             {"pipelines"},
                                             {"pipelines", "get"},
                                             {"pipelines", "get", ""},
                                             {"pipelines", "get", "a", "b"},
                                             {"pipelines", "apply"},
                                             {"topics", "publish", "t", "--value", "a", "--file", "b"},
                                             {"topics", "publish", "t", "--value", "a", "-"},
                                             {"topics", "read", "t", "--partition", "x"},
                                             {"topics", "read", "t", "--offset", "-1"},
                                             {"messages", "get", "p", "x", "1"},
                                             {"pipelines", "list", "-o", "xml"},
                                             {"pipelines", "list", "--limit", "0"},
                                             {"pipelines", "list", "--request-timeout", "5"},
                                             {"serve", "--token", "x"},
                                             {"runner"}})
    EXPECT_EQ(nothing(words).exit, ExitCode::Usage) << testing::PrintToString(words);
}

TEST(CommandLine, NoOptionTakesAToken) {
  for (const char* option : {"--token", "--access-token", "--password"})
    EXPECT_EQ(nothing({"pipelines", "list", option, "secret"}).exit, ExitCode::Usage);
}

TEST(CommandLine, ClientOptionsStandAnywhere) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"--url", "http://h:1", "-o", "json", "pipelines", "list"},
                                             {"pipelines", "--url", "http://h:1", "list", "-o", "json"},
                                             {"pipelines", "list", "-o", "json", "--url=http://h:1"}}) {
    const Invocation invocation = parse_command_line(words);
    const auto* client = std::get_if<ClientInvocation>(&invocation);
    ASSERT_NE(client, nullptr);
    EXPECT_EQ(client->flags.connection.url, "http://h:1");
    EXPECT_EQ(client->flags.output.format, OutputFormat::Json);
  }
}

TEST(CommandLine, NamesMayLookLikeVerbs) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{{"topics", "create", "events"},
                                                                                     {"topics", "create", "create"},
                                                                                     {"events", "start", "list"},
                                                                                     {"pipelines", "get", "pipelines"},
                                                                                     {"events", "stop", "--", "-x"}})
    EXPECT_TRUE(std::holds_alternative<ClientInvocation>(parse_command_line(words)))
        << testing::PrintToString(words) << nothing(words).text;
}

TEST(CommandLine, ServeTakesSettings) {
  const Invocation invocation = parse_command_line({"serve", "--data", "/d", "--listen", "127.0.0.1:0", "--config",
                                                    "c.yaml", "--log-format", "json", "--insecure-http"});
  const auto* serve = std::get_if<ServeInvocation>(&invocation);
  ASSERT_NE(serve, nullptr);
  const std::map<std::string, std::string> expected = {
      {"data", "/d"}, {"listen", "127.0.0.1:0"}, {"log.format", "json"}, {"insecure_http", "true"}};
  EXPECT_EQ(serve->flags.settings, expected);
  EXPECT_EQ(serve->flags.config_file, "c.yaml");
}

TEST(CommandLine, DoctorTakesSettingsAndAFormat) {
  const Invocation invocation = parse_command_line({"doctor", "--data", "/d", "--config", "c.yaml", "-o", "json"});
  const auto* doctor = std::get_if<DoctorInvocation>(&invocation);
  ASSERT_NE(doctor, nullptr);
  EXPECT_EQ(doctor->flags.settings, (std::map<std::string, std::string>{{"data", "/d"}}));
  EXPECT_EQ(doctor->flags.config_file, "c.yaml");
  EXPECT_EQ(doctor->output.format, OutputFormat::Json);
}

TEST(CommandLine, RunnerTakesADescriptor) {
  const Invocation invocation = parse_command_line({"runner", "--fd", "7"});
  ASSERT_TRUE(std::holds_alternative<RunnerInvocation>(invocation));
  EXPECT_EQ(std::get<RunnerInvocation>(invocation).descriptor, 7);
}

}  // namespace
}  // namespace dhub::cli
