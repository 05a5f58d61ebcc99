// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/environment.h"
#include "base/log.h"
#include "base/result.h"
#include "base/time.h"
#include "cli/command_line.h"

namespace dhub::wiring {

// One setting as it was found. `source`: "--listen", "DHUB_LISTEN", "/etc/dhub.yaml:3" or "default".
struct Setting {
  std::string key;
  std::string value;
  std::string source;
  bool secret = false;  // nobody is shown the value
};

// A cluster that topics live in besides the embedded log: `topics.clusters.<name>.kafka`, or the one that
// DHUB_KAFKA_BOOTSTRAP_SERVERS makes.
struct ClusterConfig {
  std::string name;
  std::vector<Setting> properties;  // of librdkafka, by key; ${env:NAME} and ${file:/path} are expanded
};

// Every setting of a server, checked: flags over environment over file over defaults.
struct Config {
  std::string host;
  std::uint16_t port = 0;
  bool auth = true;
  bool insecure_http = false;
  std::string data;  // absolute
  LogFormat log_format = LogFormat::Logfmt;
  LogLevel log_level = LogLevel::Info;
  std::uint64_t body_limit = 0;
  std::uint64_t message_limit = 0;
  std::uint64_t header_limit = 0;
  std::uint64_t uri_limit = 0;
  bool metrics_public = true;
  std::string python;                   // interpreter of steps that name none
  std::int32_t most_instances = 0;      // over all triggers; 0: 8 for each core
  std::uint64_t instance_memory = 0;    // sum of their limits.memory; 0: 80 % of what the machine has
  Duration grace{};                     // for what is in flight when the server is told to end
  std::string default_cluster;          // that a plain topic name means: "embedded" or one of the clusters
  std::vector<ClusterConfig> clusters;  // by name

  std::vector<Setting> settings;      // the same as text, in the order of the table; secrets are "***"
  std::vector<std::string> warnings;  // what looks like a mistake but stops nothing
};

// Reads the configuration file (--config, else DHUB_CONFIG) and joins all sources. InvalidArgument and Malformed name
// the source, and for the file the line: unknown keys (with the one that was probably meant), keys given twice, values
// that are none, variables and files of secrets that are not there.
[[nodiscard]] Result<Config> read_config(const cli::ServerFlags& flags, const Environment& environment);

// Host and port of "HOST:PORT" or "[IPV6]:PORT".
struct Address {
  std::string host;
  std::uint16_t port = 0;
};
[[nodiscard]] Result<Address> parse_address(const std::string& text);

// Does the host name this machine itself?
[[nodiscard]] bool is_loopback(const std::string& host);

}  // namespace dhub::wiring
