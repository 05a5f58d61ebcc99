// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "api/route_table.h"
#include "base/metrics.h"
#include "base/time.h"

namespace dhub::api {

// Counts and times of requests, by route, method and status: all from bounded sets, whatever clients send. Looks each
// series up once and then counts without a lock. Thread-safe.
class HttpMetrics {
 public:
  HttpMetrics(Metrics& metrics, std::span<const Route> routes);

  // `route` is none for what matched no route.
  void record(const Route* route, Method method, int status, Duration took);
  void set_connections(std::size_t count) { connections_.set(static_cast<double>(count)); }

 private:
  static constexpr int kLeastStatus = 100;
  static constexpr int kMostStatus = 599;
  struct Series {
    std::string route;
    std::string method;
    Histogram* seconds = nullptr;
    std::array<std::atomic<Counter*>, kMostStatus - kLeastStatus + 1> by_status{};
  };
  Series& series_of(const Route* route, Method method);
  std::unique_ptr<Series> make_series(std::string route, Method method);

  Metrics& metrics_;
  std::span<const Route> routes_;
  std::vector<std::unique_ptr<Series>> matched_;  // as routes_, and for HEAD again behind them
  std::vector<std::unique_ptr<Series>> others_;   // by method
  Gauge& connections_;
};

}  // namespace dhub::api
