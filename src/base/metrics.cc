// SPDX-License-Identifier: Apache-2.0
#include "base/metrics.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <string_view>
#include <variant>

#include "base/check.h"
#include "base/utf8.h"

namespace dhub {
namespace {

// From half a millisecond to a minute: what a request, an event or a start can take.
const std::vector<double>& default_bounds() {
  static const std::vector<double> bounds{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                          0.25,   0.5,   1,      2.5,   5,    10,    30,   60};
  return bounds;
}

bool is_name(std::string_view name) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (name.empty() || !is_letter(name[0])) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  while (!text.empty()) {
    const CodePoint next = take_code_point(text);
    if (!next.valid) {
      out += "\xef\xbf\xbd";
    } else if (next.value == '\\') {
      out += "\\\\";
    } else if (next.value == '\n') {
      out += "\\n";
    } else if (next.value == '"' && quotes) {
      out += "\\\"";
    } else {
      out += next.bytes;
    }
  }
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

// `{a="1",b="2"}`, or nothing; `le` comes last, as readers expect.
std::string label_text(const Labels& labels, std::string_view le = {}) {
  std::string out;
  for (const auto& [name, value] : labels) {
    out += out.empty() ? "{" : ",";
    out += name + "=\"";
    append_escaped(out, value, true);
    out += '"';
  }
  if (!le.empty()) out += fmt::format("{}le=\"{}\"", out.empty() ? "{" : ",", le);
  if (!out.empty()) out += '}';
  return out;
}

}  // namespace

Histogram::Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {
  CHECK(std::is_sorted(bounds_.begin(), bounds_.end()));
}

void Histogram::observe(double seconds) {
  if (std::isnan(seconds)) return;  // one NaN would make the sum NaN for good
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), seconds);
  counts_[static_cast<std::size_t>(bound - bounds_.begin())].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(seconds, std::memory_order_relaxed);
}

// All series of one name.
struct Metrics::Family {
  using Metric = std::variant<std::unique_ptr<Counter>, std::unique_ptr<Gauge>, std::unique_ptr<Histogram>>;
  std::string help;
  std::string_view type;
  std::map<Labels, Metric> series;

  template <typename T, typename Make>
  T& find_or_make(const Labels& labels, const Make& make) {
    auto found = series.find(labels);
    if (found == series.end()) {
      for (const auto& [label, value] : labels) CHECK(is_name(label) && label != "le");
      found = series.emplace(labels, make()).first;
    }
    return *std::get<std::unique_ptr<T>>(found->second);
  }

  template <typename T, typename Make>
  static T& get(Guarded<std::map<std::string, std::shared_ptr<Family>>>& families, const std::string& name,
                const std::string& help, std::string_view type, const Labels& labels, const Make& make) {
    return *families.with([&](auto& all) {
      auto& family = all[name];
      if (family == nullptr) {
        CHECK(is_name(name) && !help.empty());
        family = std::make_shared<Family>(Family{help, type, {}});
      }
      CHECK(family->type == type);
      return &family->template find_or_make<T>(labels, make);
    });
  }
};

namespace {

void render_histogram(const std::string& name, const Labels& labels, const std::vector<double>& bounds,
                      const std::vector<std::uint64_t>& counts, double sum, std::string& out) {
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    below += counts[i];
    const std::string le = i < bounds.size() ? number(bounds[i]) : "+Inf";
    out += fmt::format("{}_bucket{} {}\n", name, label_text(labels, le), below);
  }
  out += fmt::format("{}_sum{} {}\n", name, label_text(labels), number(sum));
  // The same number as the last bucket, even while others observe.
  out += fmt::format("{}_count{} {}\n", name, label_text(labels), below);
}

}  // namespace

std::string Metrics::render() const {
  return families_.with([](const auto& families) {
    std::string out;
    for (const auto& [name, family] : families) {
      std::string lines;
      for (const auto& [labels, metric] : family->series) {
        if (const auto* counter = std::get_if<std::unique_ptr<Counter>>(&metric)) {
          lines += fmt::format("{}{} {}\n", name, label_text(labels), (*counter)->value());
        } else if (const auto* gauge = std::get_if<std::unique_ptr<Gauge>>(&metric)) {
          lines += fmt::format("{}{} {}\n", name, label_text(labels), number((*gauge)->value()));
        } else {
          const Histogram& histogram = *std::get<std::unique_ptr<Histogram>>(metric);
          std::vector<std::uint64_t> counts;
          for (const auto& count : histogram.counts_) counts.push_back(count.load(std::memory_order_relaxed));
          render_histogram(name, labels, histogram.bounds_, counts, histogram.sum_.load(std::memory_order_relaxed),
                           lines);
        }
      }
      if (lines.empty()) continue;
      out += fmt::format("# HELP {} ", name);
      append_escaped(out, family->help, false);
      out += fmt::format("\n# TYPE {} {}\n{}", name, family->type, lines);
    }
    return out;
  });
}

Counter& Metrics::counter(const std::string& name, const std::string& help, const Labels& labels) {
  return Family::get<Counter>(families_, name, help, "counter", labels, [] { return std::make_unique<Counter>(); });
}

Gauge& Metrics::gauge(const std::string& name, const std::string& help, const Labels& labels) {
  return Family::get<Gauge>(families_, name, help, "gauge", labels, [] { return std::make_unique<Gauge>(); });
}

Histogram& Metrics::histogram(const std::string& name, const std::string& help, const Labels& labels) {
  return Family::get<Histogram>(families_, name, help, "histogram", labels,
                                [] { return std::make_unique<Histogram>(default_bounds()); });
}

Metrics::Hold::Hold(Metrics& metrics, std::string label, std::string value)
    : metrics_(metrics), held_(std::move(label), std::move(value)) {
  metrics_.held_.with([&](auto& held) { ++held[held_]; });
}

// Under the lock of what is held, so that whoever holds it anew finds all of it or nothing.
Metrics::Hold::~Hold() {
  metrics_.held_.with([&](auto& held) {
    const auto times = held.find(held_);
    if (--times->second > 0) return;
    held.erase(times);
    metrics_.remove(held_);
  });
}

void Metrics::remove(const std::pair<std::string, std::string>& label) {
  families_.with([&](auto& families) {
    for (auto& [name, family] : families)
      std::erase_if(family->series, [&](const auto& series) {
        const auto found = series.first.find(label.first);
        return found != series.first.end() && found->second == label.second;
      });
  });
}

}  // namespace dhub
