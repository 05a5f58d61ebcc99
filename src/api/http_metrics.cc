// SPDX-License-Identifier: Apache-2.0
#include "api/http_metrics.h"

#include <algorithm>
#include <chrono>

namespace dhub::api {

HttpMetrics::HttpMetrics(Metrics& metrics, std::span<const Route> routes)
    : metrics_(metrics),
      routes_(routes),
      connections_(metrics.gauge("dhub_http_connections", "Open connections of the HTTP server.")) {
  for (const auto& route : routes_) matched_.push_back(make_series(std::string(route.path), route.method));
  for (const auto& route : routes_)
    matched_.push_back(route.method == Method::Get ? make_series(std::string(route.path), Method::Head) : nullptr);
  for (const auto method : {Method::Get, Method::Head, Method::Post, Method::Put, Method::Delete, Method::Other})
    others_.push_back(make_series("none", method));
}

std::unique_ptr<HttpMetrics::Series> HttpMetrics::make_series(std::string route, Method method) {
  auto series = std::make_unique<Series>();
  series->method = to_string(method);
  series->seconds = &metrics_.histogram("dhub_http_request_seconds", "From the whole request to its answer.",
                                        {{"route", route}, {"method", series->method}});
  series->route = std::move(route);
  return series;
}

HttpMetrics::Series& HttpMetrics::series_of(const Route* route, Method method) {
  if (route == nullptr) return *others_[static_cast<std::size_t>(method)];
  const auto index = static_cast<std::size_t>(route - routes_.data());
  return *matched_[method == Method::Head ? index + routes_.size() : index];
}

void HttpMetrics::record(const Route* route, Method method, int status, Duration took) {
  Series& series = series_of(route, method);
  series.seconds->observe(std::chrono::duration<double>(took).count());
  auto& slot = series.by_status[static_cast<std::size_t>(std::clamp(status, kLeastStatus, kMostStatus) - kLeastStatus)];
  Counter* counter = slot.load(std::memory_order_acquire);
  if (counter == nullptr) {
    // Two threads may look it up at once; both find the same counter.
    counter =
        &metrics_.counter("dhub_http_requests_total", "Requests that were answered.",
                          {{"route", series.route}, {"method", series.method}, {"status", std::to_string(status)}});
    slot.store(counter, std::memory_order_release);
  }
  counter->add();
}

}  // namespace dhub::api
