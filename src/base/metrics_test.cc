// SPDX-License-Identifier: Apache-2.0
#include "base/metrics.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <gtest/gtest.h>
#include <memory>
#include <thread>

namespace dhub {
namespace {

// Exit status of `promtool check metrics`, and what it said.
std::pair<int, std::string> promtool_check(const std::string& text) {
  const std::string file = testing::TempDir() + "metrics_test.prom";
  std::ofstream(file, std::ios::binary) << text;
  FILE* pipe = popen(("promtool check metrics < '" + file + "' 2>&1").c_str(), "r");
  if (pipe == nullptr) return {-1, "popen failed"};
  std::string said;
  std::array<char, 4096> buffer{};
  for (std::size_t n = 0; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) said.append(buffer.data(), n);
  const int status = pclose(pipe);
  std::remove(file.c_str());
  return {status, said};
}

TEST(Metrics, RendersPrometheusText) {
  Metrics metrics;
  metrics.counter("dhub_a_total", "Things.", {{"route", "/x"}, {"method", "GET"}}).add(3);
  metrics.gauge("dhub_size_bytes", "Bytes.").set(1.5);
  EXPECT_EQ(metrics.render(),
            "# HELP dhub_a_total Things.\n# TYPE dhub_a_total counter\n"
            "dhub_a_total{method=\"GET\",route=\"/x\"} 3\n"
            "# HELP dhub_size_bytes Bytes.\n# TYPE dhub_size_bytes gauge\ndhub_size_bytes 1.5\n");
}

TEST(Metrics, HistogramBucketsAreCumulativeAndEndWithTheCount) {
  Metrics metrics;
  auto& histogram = metrics.histogram("dhub_run_seconds", "Times.", {{"k", "v"}});
  for (const double seconds : {0.001, 0.0011, 59.0, 1000.0}) histogram.observe(seconds);
  histogram.observe(std::nan(""));
  const std::string text = metrics.render();
  for (const char* line :
       {"dhub_run_seconds_bucket{k=\"v\",le=\"0.0005\"} 0\n", "dhub_run_seconds_bucket{k=\"v\",le=\"0.001\"} 1\n",
        "dhub_run_seconds_bucket{k=\"v\",le=\"0.0025\"} 2\n", "dhub_run_seconds_bucket{k=\"v\",le=\"60\"} 3\n",
        "dhub_run_seconds_bucket{k=\"v\",le=\"+Inf\"} 4\n", "dhub_run_seconds_count{k=\"v\"} 4\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << "not in\n" << text;
}

TEST(Metrics, TheSameNameAndLabelsAreTheSameObject) {
  Metrics metrics;
  auto& first = metrics.counter("dhub_a_total", "Things.", {{"k", "v"}});
  EXPECT_EQ(&first, &metrics.counter("dhub_a_total", "Things.", {{"k", "v"}}));
  EXPECT_NE(&first, &metrics.counter("dhub_a_total", "Things.", {{"k", "w"}}));
}

TEST(Metrics, SeriesEndWithTheLastWhoHoldsTheirLabel) {
  Metrics metrics;
  metrics.counter("dhub_a_total", "Things.", {{"pipeline", "q"}}).add();
  const std::string without = metrics.render();
  auto first = std::make_unique<Metrics::Hold>(metrics, "pipeline", "p");
  metrics.counter("dhub_a_total", "Things.", {{"pipeline", "p"}, {"state", "done"}}).add();
  metrics.gauge("dhub_size_bytes", "Bytes.", {{"pipeline", "p"}}).set(7);
  auto second = std::make_unique<Metrics::Hold>(metrics, "pipeline", "p");
  first.reset();
  EXPECT_NE(metrics.render().find("dhub_size_bytes{pipeline=\"p\"} 7\n"), std::string::npos);
  second.reset();
  EXPECT_EQ(metrics.render(), without) << "a family with nothing to show is left out too";
  const Metrics::Hold again(metrics, "pipeline", "p");
  EXPECT_EQ(metrics.counter("dhub_a_total", "Things.", {{"pipeline", "p"}, {"state", "done"}}).value(), 0U);
}

TEST(Metrics, HostileLabelValuesCannotForgeALine) {
  Metrics metrics;
  metrics.counter("dhub_a_total", "Things.", {{"k", "\"} 1\n\\x\xff"}}).add();
  const std::string text = metrics.render();
  EXPECT_NE(text.find("{k=\"\\\"} 1\\n\\\\x\xef\xbf\xbd\"} 1\n"), std::string::npos) << text;
  const auto [status, said] = promtool_check(text);
  EXPECT_EQ(status, 0) << said;
}

TEST(Metrics, PassPromtool) {
  Metrics metrics;
  metrics.counter("dhub_a_total", "Things.", {{"k", "v"}}).add();
  metrics.gauge("dhub_size_bytes", "Bytes with a \\ and a\nnew line.").set(-1e300);
  metrics.gauge("dhub_full_ratio", "Infinite.").set(INFINITY);
  metrics.histogram("dhub_run_seconds", "Times.", {{"k", "v"}}).observe(1);
  const auto [status, said] = promtool_check(metrics.render());
  EXPECT_EQ(status, 0) << "promtool is part of the package prometheus\n" << said;
}

TEST(Metrics, PromtoolRefusesWhatIsWrong) {
  EXPECT_NE(promtool_check("dhub_a_total{ 1\n").first, 0);
}

TEST(Metrics, CountFromManyThreadsWhileBeingRendered) {
  Metrics metrics;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) {
          metrics.counter("dhub_a_total", "Things.", {{"k", std::to_string(i % 7)}}).add();
          metrics.histogram("dhub_run_seconds", "Times.").observe(i);
        }
      });
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) EXPECT_NE(metrics.render().size(), 1u);
    });
  }
  EXPECT_NE(metrics.render().find("dhub_run_seconds_count 4000\n"), std::string::npos);
}

TEST(MetricsDeathTest, OneNameHasOneType) {
  Metrics metrics;
  metrics.counter("dhub_a_total", "Things.");
  EXPECT_DEATH(metrics.gauge("dhub_a_total", "Things."), "type");
}

}  // namespace
}  // namespace dhub
