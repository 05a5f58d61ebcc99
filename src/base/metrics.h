// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/guarded.h"

namespace dhub {

// A number that only rises. Lock-free.
class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// A number that goes up and down. Lock-free.
class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// Counts of observations at or below fixed bounds, in seconds. Lock-free.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);
  void observe(double seconds);

 private:
  friend class Metrics;
  std::vector<double> bounds_;
  std::vector<std::atomic<std::uint64_t>> counts_;  // one more than bounds: +Inf
  std::atomic<double> sum_{0};
};

using Labels = std::map<std::string, std::string>;

// The numbers of one server process, rendered as Prometheus text (0.0.4). Thread-safe. The same name and labels answer
// the same object, which lives as long as the registry, or as long as a label of it is held. Label values must come
// from a bounded set, or be held.
class Metrics {
 public:
  Metrics() = default;
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  Counter& counter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge& gauge(const std::string& name, const std::string& help, const Labels& labels = {});
  Histogram& histogram(const std::string& name, const std::string& help, const Labels& labels = {});

  // Something that comes and goes: its series end with the last who holds them, references to them too.
  class Hold {
   public:
    Hold(Metrics& metrics, std::string label, std::string value);
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    Metrics& metrics_;
    const std::pair<std::string, std::string> held_;
  };

  [[nodiscard]] std::string render() const;

 private:
  struct Family;
  void remove(const std::pair<std::string, std::string>& label);

  Guarded<std::map<std::pair<std::string, std::string>, std::size_t>> held_;  // how often each label is
  Guarded<std::map<std::string, std::shared_ptr<Family>>> families_;          // shared: incomplete type here
};

}  // namespace dhub
