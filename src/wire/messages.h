// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/pipeline.h"
#include "ports/compute_backend.h"
#include "wire/frame.h"

// The payloads that are said once in an instance's life. encode_* append to `out`; decode_* answer Malformed for
// bytes that are not such a payload, and never read past them.
namespace dhub::wire {

struct ProtocolRange {
  std::uint16_t oldest = kOldestProtocol;
  std::uint16_t newest = kNewestProtocol;
};
// The newest version that both speak; 0 when there is none.
[[nodiscard]] std::uint16_t common_protocol(const ProtocolRange& a, const ProtocolRange& b);

// Server to host.
struct ServerHello {
  ProtocolRange protocol;
  Duration template_idle{};   // a template without workers ends after this time
  std::string package_dir;    // holds the Python package `dhub`
  std::string instances_dir;  // working directories of instances are made here
};
void encode_hello(std::string& out, const ServerHello& hello);
[[nodiscard]] Result<ServerHello> decode_server_hello(std::string_view payload);

// Host to server, with the lifeline's read end attached when the two are on one machine.
struct HostHello {
  ProtocolRange protocol;
  std::string name;
};
void encode_hello(std::string& out, const HostHello& hello);
[[nodiscard]] Result<HostHello> decode_host_hello(std::string_view payload);

// What an instance is to run: InstanceSpec and how long loading it may take.
struct Start {
  InstanceSpec spec;
  Duration start_timeout{};
};
void encode_start(std::string& out, const Start& start);
[[nodiscard]] Result<Start> decode_start(std::string_view payload);

// Host to server: the instance's process is gone, all it finished has been answered. Deliveries without an answer never
// began.
struct Ended {
  EndReason reason = EndReason::Drained;
  std::string detail;
  std::string trace;
};
void encode_ended(std::string& out, const Ended& ended);
[[nodiscard]] Result<Ended> decode_ended(std::string_view payload);

// Worker to host: the steps could not be loaded.
struct LoadFailure {
  std::string error;
  std::string trace;
};
void encode_failure(std::string& out, const LoadFailure& failure);
[[nodiscard]] Result<LoadFailure> decode_failure(std::string_view payload);

}  // namespace dhub::wire
