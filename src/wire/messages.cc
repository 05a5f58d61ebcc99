// SPDX-License-Identifier: Apache-2.0
#include "wire/messages.h"

#include <algorithm>
#include <utility>

#include "wire/bytes.h"

namespace dhub::wire {
namespace {

tl::unexpected<Error> malformed(const char* what) {
  return fail(ErrorCode::Malformed, std::string("a frame does not hold ") + what + ".");
}

bool take_duration(Reader& reader, Duration& out) {
  std::int64_t ns = 0;
  if (!reader.take(ns) || ns < 0) return false;
  out = Duration(ns);
  return true;
}

bool take_range(Reader& reader, ProtocolRange& out) {
  return reader.take(out.oldest) && reader.take(out.newest) && out.oldest <= out.newest;
}

void put_step(std::string& out, const Step& step) {
  put_string(out, step.name);
  put_string(out, step.script);
  put(out, static_cast<std::uint8_t>(step.result_topic ? 1 : 0));
  put_string(out, step.result_topic.value_or(""));
}

bool take_step(Reader& reader, Step& out) {
  std::uint8_t has_topic = 0;
  std::string topic;
  if (!reader.take_string(out.name) || !reader.take_string(out.script) || !reader.take(has_topic) || has_topic > 1 ||
      !reader.take_string(topic))
    return false;
  if (has_topic == 1) out.result_topic = std::move(topic);
  return true;
}

bool take_env(Reader& reader, std::map<std::string, std::string>& out) {
  std::uint32_t count = 0;
  if (!reader.take(count)) return false;
  for (std::uint32_t i = 0; i < count; ++i) {
    std::string name;
    std::string value;
    if (!reader.take_string(name) || !reader.take_string(value)) return false;
    out.insert_or_assign(std::move(name), std::move(value));
  }
  return true;
}

bool take_steps(Reader& reader, std::vector<Step>& out) {
  std::uint32_t count = 0;
  if (!reader.take(count)) return false;
  for (std::uint32_t i = 0; i < count; ++i) {
    Step step;
    if (!take_step(reader, step)) return false;
    out.push_back(std::move(step));
  }
  return true;
}

}  // namespace

std::uint16_t common_protocol(const ProtocolRange& a, const ProtocolRange& b) {
  const std::uint16_t newest = std::min(a.newest, b.newest);
  return newest >= std::max(a.oldest, b.oldest) ? newest : std::uint16_t{0};
}

void encode_hello(std::string& out, const ServerHello& hello) {
  put(out, hello.protocol.oldest);
  put(out, hello.protocol.newest);
  put(out, std::int64_t{hello.template_idle.count()});
  put_string(out, hello.package_dir);
  put_string(out, hello.instances_dir);
}

// What follows the range belongs to newer versions of the protocol and is not looked at.
Result<ServerHello> decode_server_hello(std::string_view payload) {
  Reader reader(payload);
  ServerHello hello;
  if (!take_range(reader, hello.protocol) || !take_duration(reader, hello.template_idle) ||
      !reader.take_string(hello.package_dir) || !reader.take_string(hello.instances_dir))
    return malformed("a server's hello");
  return hello;
}

void encode_hello(std::string& out, const HostHello& hello) {
  put(out, hello.protocol.oldest);
  put(out, hello.protocol.newest);
  put_string(out, hello.name);
}

Result<HostHello> decode_host_hello(std::string_view payload) {
  Reader reader(payload);
  HostHello hello;
  if (!take_range(reader, hello.protocol) || !reader.take_string(hello.name)) return malformed("a host's hello");
  return hello;
}

void encode_start(std::string& out, const Start& start) {
  const InstanceSpec& spec = start.spec;
  put(out, std::int64_t{spec.timeout.count()});
  put(out, std::int64_t{start.start_timeout.count()});
  put(out, spec.limits.memory_bytes);
  put(out, spec.limits.output_bytes);
  put(out, spec.concurrency);
  put(out, spec.version.value);
  put_string(out, spec.pipeline_id);
  put_string(out, spec.interpreter);
  put(out, static_cast<std::uint32_t>(spec.env.size()));
  for (const auto& [name, value] : spec.env) {
    put_string(out, name);
    put_string(out, value);
  }
  put(out, static_cast<std::uint32_t>(spec.steps.size()));
  for (const auto& step : spec.steps) put_step(out, step);
}

Result<Start> decode_start(std::string_view payload) {
  Reader reader(payload);
  Start start;
  InstanceSpec& spec = start.spec;
  const bool fits = take_duration(reader, spec.timeout) && take_duration(reader, start.start_timeout) &&
                    reader.take(spec.limits.memory_bytes) && reader.take(spec.limits.output_bytes) &&
                    reader.take(spec.concurrency) && spec.concurrency >= 1 && reader.take(spec.version.value) &&
                    reader.take_string(spec.pipeline_id) && reader.take_string(spec.interpreter) &&
                    take_env(reader, spec.env) && take_steps(reader, spec.steps) && reader.empty();
  if (!fits) return malformed("the description of an instance");
  return start;
}

void encode_ended(std::string& out, const Ended& ended) {
  put(out, static_cast<std::uint8_t>(ended.reason));
  put_string(out, ended.detail);
  put_string(out, ended.trace);
}

Result<Ended> decode_ended(std::string_view payload) {
  Reader reader(payload);
  Ended ended;
  std::uint8_t reason = 0;
  if (!reader.take(reason) || reason > static_cast<std::uint8_t>(EndReason::HostLost) ||
      !reader.take_string(ended.detail) || !reader.take_string(ended.trace) || !reader.empty())
    return malformed("the end of an instance");
  ended.reason = static_cast<EndReason>(reason);
  return ended;
}

void encode_failure(std::string& out, const LoadFailure& failure) {
  put_string(out, failure.error);
  put_string(out, failure.trace);
}

Result<LoadFailure> decode_failure(std::string_view payload) {
  Reader reader(payload);
  LoadFailure failure;
  if (!reader.take_string(failure.error) || !reader.take_string(failure.trace) || !reader.empty())
    return malformed("a failed start");
  return failure;
}

}  // namespace dhub::wire
