// SPDX-License-Identifier: Apache-2.0
#include "wiring/clusters.h"

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <string_view>
#include <utility>

#include "base/suggest.h"
#include "base/time.h"
#include "cli/json_text.h"
#include "eventlog/kafka/diagnose.h"
#include "model/topic.h"

namespace dhub::wiring {
namespace {

namespace json = boost::json;

constexpr const char* kServersKey = "bootstrap.servers";
constexpr std::size_t kMostSecretBytes = 256U << 10;  // a chain of certificates fits many times

// Values of these are secrets however they came here.
constexpr std::array<std::string_view, 5> kSecretEndings{"password", "secret", "passphrase", ".pem", ".jaas.config"};

bool is_secret(std::string_view key) {
  if (key == "sasl.oauthbearer.config") return true;
  return std::any_of(kSecretEndings.begin(), kSecretEndings.end(), [&](auto ending) { return key.ends_with(ending); });
}

FileSpot below(const FileSpot& spot, std::string_view key) {
  return {spot.path, spot.document, spot.pointer + '/' + cli::pointer_token(key)};
}

std::string where(const FileSpot& spot) {
  return fmt::format("{}:{}", spot.path, cli::line_of(spot.document, spot.pointer));
}

tl::unexpected<Error> wrong(const FileSpot& spot, const std::string& key, const std::string& what) {
  return fail(ErrorCode::InvalidArgument, fmt::format("{}: {}: {}", where(spot), key, what));
}

Result<std::string> read_secret_file(const std::string& path) {
  if (!path.starts_with('/'))
    return fail(ErrorCode::InvalidArgument, fmt::format("${{file:{}}} does not name an absolute path.", path));
  std::error_code ec;
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path, ec))
    return fail(ErrorCode::InvalidArgument,
                fmt::format("the file {} cannot be read{}.", path,
                            errno == 0 ? std::string() : fmt::format(": {}", std::strerror(errno))));
  std::string text(kMostSecretBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kMostSecretBytes)
    return fail(ErrorCode::InvalidArgument,
                fmt::format("the file {} is larger than {}.", path, size_to_string(kMostSecretBytes)));
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

// What "${kind:name}" stands for. An answer is never expanded again.
Result<std::string> expansion(std::string_view kind, const std::string& name, const Environment& environment) {
  if (kind == "file") return read_secret_file(name);
  if (kind != "env")
    return fail(ErrorCode::InvalidArgument,
                fmt::format("there is no ${{{}:...}}; known are ${{env:NAME}} and ${{file:/path}}.", kind));
  std::string value = get(environment, name);
  if (!value.empty()) return value;
  return fail(ErrorCode::InvalidArgument, fmt::format("the environment does not set {}.", name));
}

bool is_word(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
}

struct Expanded {
  std::string text;
  bool any = false;
};

Result<Expanded> expand(std::string_view text, const Environment& environment) {
  Expanded out;
  for (auto at = text.find("${"); at != std::string_view::npos; at = text.find("${")) {
    const std::string_view rest = text.substr(at + 2);
    const auto colon = rest.find(':');
    if (colon == std::string_view::npos || !is_word(rest.substr(0, colon))) {
      out.text += text.substr(0, at + 2);
      text = rest;
      continue;
    }
    const auto end = rest.find('}');
    if (end == std::string_view::npos)
      return fail(ErrorCode::InvalidArgument, fmt::format("'${{{}:' has no '}}'.", rest.substr(0, colon)));
    const std::string name(rest.substr(colon + 1, end - colon - 1));
    ASSIGN_OR_RETURN(const std::string value, expansion(rest.substr(0, colon), name, environment));
    out.text.append(text.substr(0, at)).append(value);
    out.any = true;
    text = rest.substr(end + 1);
  }
  out.text += text;
  return out;
}

Result<Setting> read_property(std::string_view name, const json::value& value, const FileSpot& spot,
                              const Environment& environment) {
  const std::string key(name);
  if (value.is_structured() || value.is_null())
    return wrong(spot, key,
                 "it needs one value; properties are written with their dots, as in 'bootstrap.servers: "
                 "127.0.0.1:9092'.");
  // Read as a number, its digits may have changed.
  if (value.is_double()) return wrong(spot, key, "write it in quotes.");
  const std::string text = value.is_string() ? std::string(value.get_string()) : json::serialize(value);
  auto expanded = expand(text, environment);
  if (!expanded) return wrong(spot, key, expanded.error().message);
  if (expanded->text.find('\0') != std::string::npos) return wrong(spot, key, "it holds a null character.");
  return Setting{key, std::move(expanded->text), where(spot), expanded->any || is_secret(key)};
}

Result<ClusterConfig> read_cluster(std::string_view name, const json::value& value, const FileSpot& spot,
                                   const Environment& environment) {
  ClusterConfig cluster{std::string(name), {}};
  if (name == kEmbeddedCluster)
    return wrong(spot, kClustersKey, "'embedded' is the name of the embedded log; name the cluster otherwise.");
  if (name.find('/') != std::string_view::npos || !parse_topic_name(cluster.name + "/t"))
    return wrong(spot, kClustersKey,
                 fmt::format("'{}' is not the name of a cluster: 1 to 63 characters of a-z, 0-9 and '-', with a letter "
                             "or digit at both ends.",
                             name.substr(0, 64)));
  const std::string prefix = fmt::format("{}.{}", kClustersKey, name);
  if (!value.is_object()) return wrong(spot, prefix, "it needs the key 'kafka'.");
  constexpr std::array<std::string_view, 1> kKeys{"kafka"};
  for (const auto& [key, member] : value.get_object())
    if (key != kKeys[0])
      return wrong(below(spot, key), prefix,
                   fmt::format("there is no setting '{}'; {}", std::string_view(key), did_you_mean(key, kKeys)));
  const json::value* kafka = value.get_object().if_contains("kafka");
  if (kafka == nullptr || !kafka->is_object())
    return wrong(spot, prefix, "it needs the key 'kafka', a mapping of librdkafka's properties.");
  for (const auto& [key, member] : kafka->get_object()) {
    ASSIGN_OR_RETURN(Setting property, read_property(key, member, below(below(spot, "kafka"), key), environment));
    cluster.properties.push_back(std::move(property));
  }
  const auto has_servers = [](const Setting& property) {
    return property.key == kServersKey && !property.value.empty();
  };
  if (std::none_of(cluster.properties.begin(), cluster.properties.end(), has_servers))
    return wrong(below(spot, "kafka"), prefix + ".kafka", "it needs 'bootstrap.servers', such as 127.0.0.1:9092.");
  std::sort(cluster.properties.begin(), cluster.properties.end(),
            [](const Setting& a, const Setting& b) { return a.key < b.key; });
  return cluster;
}

void sort_by_name(std::vector<ClusterConfig>& clusters) {
  std::sort(clusters.begin(), clusters.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
}

}  // namespace

Result<std::vector<ClusterConfig>> read_clusters(const json::value& value, const FileSpot& spot,
                                                 const Environment& environment) {
  if (!value.is_object()) return wrong(spot, kClustersKey, "it needs a mapping of names to clusters.");
  std::vector<ClusterConfig> clusters;
  for (const auto& [name, member] : value.get_object()) {
    ASSIGN_OR_RETURN(ClusterConfig cluster, read_cluster(name, member, below(spot, name), environment));
    clusters.push_back(std::move(cluster));
  }
  sort_by_name(clusters);
  return clusters;
}

void set_bootstrap_servers(std::vector<ClusterConfig>& clusters, const std::string& servers) {
  const Setting property{kServersKey, servers, kBootstrapVariable};
  const auto found = std::find_if(clusters.begin(), clusters.end(),
                                  [](const ClusterConfig& cluster) { return cluster.name == kEnvironmentCluster; });
  if (found == clusters.end()) {
    clusters.push_back({kEnvironmentCluster, {property}});
    return sort_by_name(clusters);
  }
  for (Setting& one : found->properties)
    if (one.key == kServersKey) one = property;
}

kafka::KafkaOptions kafka_options(const ClusterConfig& cluster) {
  kafka::KafkaOptions options{cluster.name, {}};
  for (const auto& property : cluster.properties) options.properties.emplace_back(property.key, property.value);
  return options;
}

std::vector<DoctorCheck> diagnose_cluster(const ClusterConfig& cluster) {
  return kafka::diagnose(kafka_options(cluster));
}

}  // namespace dhub::wiring
