// SPDX-License-Identifier: Apache-2.0
#include "pipeline/options.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <fmt/format.h>

namespace dhub::pipeline {
namespace {

namespace json = boost::json;
using std::chrono::hours;
using std::chrono::seconds;

constexpr std::int32_t kMostAttempts = 1000;
constexpr std::int32_t kMostInstances = 1000;
constexpr std::int32_t kMostConcurrency = 1000;
constexpr Duration kLongestDelay = hours(24);
constexpr Duration kShortestTimeout = milliseconds(10);
constexpr Duration kLongestTimeout = hours(24);
constexpr std::uint64_t kLeastMemory = 32ULL << 20;
constexpr std::uint64_t kMostMemory = 1024ULL << 30;
constexpr std::uint64_t kLeastOutput = 1ULL << 10;
constexpr std::uint64_t kMostOutput = 1ULL << 20;
constexpr std::size_t kMostVariables = 256;
constexpr std::size_t kLongestVariable = 32ULL << 10;
constexpr std::size_t kLongestPath = 1024;

// They decide which code the worker loads; a step sets its own in its script.
constexpr std::array<std::string_view, 5> kReservedVariables{"LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONSTARTUP",
                                                             "PYTHONPATH", "PATH"};

void read_retry(const ObjectReader& retry, Findings& findings, RetryPolicy& out) {
  retry.only("key of retry", {"max_attempts", "backoff", "initial_delay", "max_delay", "jitter", "from"});
  retry.integer("max_attempts", 1, kMostAttempts, out.max_attempts);
  retry.choice<Backoff>(
      "backoff", {{"exponential", Backoff::Exponential}, {"linear", Backoff::Linear}, {"constant", Backoff::Constant}},
      out.backoff);
  retry.duration("initial_delay", Duration::zero(), kLongestDelay, out.initial_delay);
  const bool has_most = retry.duration("max_delay", Duration::zero(), kLongestDelay, out.max_delay);
  if (!has_most)
    out.max_delay = std::max(out.max_delay, out.initial_delay);
  else if (out.max_delay < out.initial_delay)
    findings.invalid(retry.pointer("max_delay"),
                     fmt::format("must not be below initial_delay, which is {}", to_string(out.initial_delay)));
  retry.boolean("jitter", out.jitter);
  retry.choice<bool>("from", {{"start", true}, {"failed_step", false}}, out.from_start);
}

void read_limits(const ObjectReader& limits, InstanceLimits& out) {
  limits.only("key of limits", {"memory", "output"});
  limits.size("memory", kLeastMemory, kMostMemory, out.memory_bytes);
  limits.size("output", kLeastOutput, kMostOutput, out.output_bytes);
}

void read_dead_letter(const ObjectReader& dead_letter, Findings& findings, Options& out) {
  dead_letter.only("key of dead_letter", {"topic"});
  if (dead_letter.find("topic") == nullptr)
    findings.invalid(dead_letter.pointer("topic"), "is required; dead letters are always kept in the store as well");
  dead_letter.topic("topic", out.dead_letter_topic);
  if (out.event && out.dead_letter_topic == out.event)
    findings.invalid(dead_letter.pointer("topic"), "must not be the topic that the pipeline listens on");
}

void read_scaling(const ObjectReader& scaling, Findings& findings, Scaling& out) {
  scaling.only("key of scaling", {"min_instances", "max_instances", "concurrency", "target_delay", "idle_timeout"});
  scaling.integer("min_instances", 0, kMostInstances, out.min_instances);
  scaling.integer("max_instances", 1, kMostInstances, out.max_instances);
  scaling.integer("concurrency", 1, kMostConcurrency, out.concurrency);
  scaling.duration("target_delay", milliseconds(1), hours(1), out.target_delay);
  scaling.duration("idle_timeout", Duration::zero(), hours(24), out.idle_timeout);
  if (out.max_instances > 0 && out.min_instances > out.max_instances)
    findings.invalid(scaling.pointer("min_instances"),
                     fmt::format("must not be above max_instances, which is {}", out.max_instances));
}

bool is_variable_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  bool good = !name.empty() && name.size() <= 128 && letter(name.front());
  for (const char c : name) good = good && (letter(c) || (c >= '0' && c <= '9'));
  return good;
}

// What is wrong with the name; empty when nothing is.
std::string_view variable_name_error(std::string_view name) {
  if (!is_variable_name(name))
    return "is no name of a variable: letters, digits and '_', not beginning with a digit, at most 128";
  if (name.starts_with("DHUB_")) return "is reserved: names that begin with DHUB_ belong to the server";
  if (std::find(kReservedVariables.begin(), kReservedVariables.end(), name) != kReservedVariables.end())
    return "is reserved: it decides which code the worker loads";
  return {};
}

void read_variable(const std::string& pointer, const json::value& value, Findings& findings, std::string& out) {
  if (const auto* object = value.if_object(); object != nullptr && object->contains("secret")) {
    findings.not_served(pointer, "secrets are not served yet; write the value as a string");
    return;
  }
  const auto* text = value.if_string();
  if (text == nullptr)
    findings.invalid(pointer, fmt::format("must be a string, not {}", kind_of(value)));
  else if (text->size() > kLongestVariable)
    findings.invalid(pointer, fmt::format("must not be longer than {}", size_to_string(kLongestVariable)));
  else if (text->find('\0') != json::string::npos)
    findings.invalid(pointer, "must not hold a null character");
  else
    out.assign(text->data(), text->size());
}

void read_env(const json::value& value, const std::string& pointer, Findings& findings, Options& out) {
  const auto* variables = value.if_object();
  if (variables == nullptr) return findings.invalid(pointer, fmt::format("must be an object, not {}", kind_of(value)));
  if (variables->size() > kMostVariables)
    return findings.invalid(pointer, fmt::format("must not hold more than {} variables", kMostVariables));
  for (const auto& variable : *variables) {
    const std::string where = pointer_to(pointer, variable.key());
    if (const auto wrong = variable_name_error(variable.key()); !wrong.empty())
      findings.invalid(where, std::string(wrong));
    else
      read_variable(where, variable.value(), findings, out.env[std::string(variable.key())]);
  }
}

void read_python(const ObjectReader& python, Findings& findings, Options& out) {
  python.only("key of python", {"interpreter", "requirements"});
  if (python.find("requirements") != nullptr)
    findings.not_served(python.pointer("requirements"),
                        "requirements are not served yet; install them for the interpreter and name that");
  if (!python.text("interpreter", out.interpreter)) return;
  const std::string& path = out.interpreter;
  const bool is_name = path.find('/') == std::string::npos;
  if (path.empty() || path.size() > kLongestPath || path.find('\0') != std::string::npos || path[0] == '-' ||
      (!is_name && path[0] != '/'))
    findings.invalid(
        python.pointer("interpreter"),
        "must be a program name such as \"python3.11\" or an absolute path such as \"/opt/py/bin/python\"");
}

}  // namespace

Options read_options(const ObjectReader& options, Findings& findings) {
  Options out;
  options.only("option", {"event", "ordering", "retry", "breaker", "timeout", "limits", "dead_letter", "scaling", "env",
                          "python"});
  options.topic("event", out.event);
  options.choice<Ordering>(
      "ordering", {{"key", Ordering::Key}, {"partition", Ordering::Partition}, {"none", Ordering::None}}, out.ordering);
  if (const auto retry = options.object("retry")) read_retry(*retry, findings, out.retry);
  if (options.find("breaker") != nullptr)
    findings.not_served(options.pointer("breaker"), "the breaker is not served yet; leave it out");
  options.duration("timeout", kShortestTimeout, kLongestTimeout, out.timeout);
  if (const auto limits = options.object("limits")) read_limits(*limits, out.limits);
  if (const auto dead_letter = options.object("dead_letter")) read_dead_letter(*dead_letter, findings, out);
  if (const auto scaling = options.object("scaling")) read_scaling(*scaling, findings, out.scaling);
  if (const auto* env = options.find("env")) read_env(*env, options.pointer("env"), findings, out);
  if (const auto python = options.object("python")) read_python(*python, findings, out);
  return out;
}

}  // namespace dhub::pipeline
