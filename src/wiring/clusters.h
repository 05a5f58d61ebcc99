// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <vector>

#include "base/environment.h"
#include "base/result.h"
#include "cli/documents.h"
#include "eventlog/kafka/kafka_log.h"
#include "model/doctor.h"
#include "wiring/config.h"

namespace dhub::wiring {

inline constexpr const char* kClustersKey = "topics.clusters";
// Makes a cluster of this name without a file.
inline constexpr const char* kBootstrapVariable = "DHUB_KAFKA_BOOTSTRAP_SERVERS";
inline constexpr const char* kEnvironmentCluster = "kafka";

// Where a value stands: errors and sources name the file and the line.
struct FileSpot {
  const std::string& path;
  const cli::Document& document;
  std::string pointer;
};

// The value of `topics.clusters`, by name, with ${env:NAME} and ${file:/path} expanded. InvalidArgument names file and
// line; it never holds what an expansion answered.
[[nodiscard]] Result<std::vector<ClusterConfig>> read_clusters(const boost::json::value& value, const FileSpot& spot,
                                                               const Environment& environment);

// The cluster of kBootstrapVariable: made when there is none of its name, else told other servers.
void set_bootstrap_servers(std::vector<ClusterConfig>& clusters, const std::string& servers);

// What `dhub doctor` finds out about a cluster.
[[nodiscard]] std::vector<DoctorCheck> diagnose_cluster(const ClusterConfig& cluster);

[[nodiscard]] kafka::KafkaOptions kafka_options(const ClusterConfig& cluster);

}  // namespace dhub::wiring
