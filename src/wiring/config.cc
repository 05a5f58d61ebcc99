// SPDX-License-Identifier: Apache-2.0
#include "wiring/config.h"

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <map>
#include <span>
#include <string_view>
#include <utility>

#include "base/suggest.h"
#include "cli/connection.h"
#include "cli/documents.h"
#include "model/topic.h"
#include "wiring/clusters.h"

namespace dhub::wiring {
namespace {

namespace json = boost::json;

constexpr const char* kDefaultClusterKey = "topics.default";
constexpr const char* kAuto = "auto";  // as the machine has

// How the text of a setting is read into the configuration.
using Reader = Status (*)(const std::string& text, Config& config);

template <typename T, typename Parse>
Status read_into(T& target, Parse parse, const std::string& text) {
  ASSIGN_OR_RETURN(target, parse(text));
  return {};
}

Result<bool> parse_switch(const std::string& text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return fail(ErrorCode::InvalidArgument, fmt::format("'{}' is neither true nor false.", text.substr(0, 64)));
}

Result<std::uint64_t> parse_limit(const std::string& text) {
  constexpr std::uint64_t kLeast = 1U << 10;
  constexpr std::uint64_t kMost = 1U << 30;
  ASSIGN_OR_RETURN(const std::uint64_t size, parse_size(text));
  if (size >= kLeast && size <= kMost) return size;
  return fail(ErrorCode::InvalidArgument, fmt::format("'{}' is not between 1KiB and 1GiB.", text));
}

Status read_listen(const std::string& text, Config& config) {
  ASSIGN_OR_RETURN(const Address address, parse_address(text));
  config.host = address.host;
  config.port = address.port;
  return {};
}

Status read_data(const std::string& text, Config& config) {
  if (text.empty())
    return fail(ErrorCode::InvalidArgument, "there is no HOME to put it under; name a directory with --data.");
  std::error_code ec;
  config.data = std::filesystem::absolute(text, ec).lexically_normal().string();
  if (ec) return fail(ErrorCode::InvalidArgument, fmt::format("'{}': {}.", text, ec.message()));
  return {};
}

Status read_python(const std::string& text, Config& config) {
  if (!text.starts_with('/'))
    return fail(ErrorCode::InvalidArgument, fmt::format("'{}' is not an absolute path.", text.substr(0, 64)));
  config.python = text;
  return {};
}

Status read_most_instances(const std::string& text, Config& config) {
  constexpr std::int32_t kMost = 10'000;
  if (text == kAuto) return {};
  const auto [at, ec] = std::from_chars(text.data(), text.data() + text.size(), config.most_instances);
  const bool read = ec == std::errc() && at == text.data() + text.size();
  if (read && config.most_instances >= 1 && config.most_instances <= kMost) return {};
  return fail(ErrorCode::InvalidArgument,
              fmt::format("'{}' is neither auto nor a number from 1 to {}.", text.substr(0, 64), kMost));
}

Status read_instance_memory(const std::string& text, Config& config) {
  constexpr std::uint64_t kLeast = 32ULL << 20;  // of limits.memory
  if (text == kAuto) return {};
  ASSIGN_OR_RETURN(config.instance_memory, parse_size(text));
  if (config.instance_memory >= kLeast) return {};
  return fail(ErrorCode::InvalidArgument, fmt::format("'{}' is less than 32MiB, which one instance needs.", text));
}

Status read_auth(const std::string& text, Config& config) {
  if (text != "on" && text != "off")
    return fail(ErrorCode::InvalidArgument, fmt::format("'{}' is neither on nor off.", text.substr(0, 64)));
  config.auth = text == "on";
  return {};
}

// Whether there is such a cluster is known when all of them are.
Status read_default_cluster(const std::string& text, Config& config) {
  config.default_cluster = text;
  return {};
}

struct Known {
  std::string_view key;
  const char* fallback;  // as text; the data directory's depends on the environment
  Reader read;
};

constexpr std::array kKnown = {
    Known{"listen", "127.0.0.1:8080", &read_listen},
    Known{"data", "", &read_data},
    Known{"auth", "on", &read_auth},
    Known{"insecure_http", "false",
          [](const std::string& t, Config& c) { return read_into(c.insecure_http, parse_switch, t); }},
    Known{"log.format", "logfmt",
          [](const std::string& t, Config& c) { return read_into(c.log_format, parse_log_format, t); }},
    Known{"log.level", "info",
          [](const std::string& t, Config& c) { return read_into(c.log_level, parse_log_level, t); }},
    Known{"limits.body", "8MiB",
          [](const std::string& t, Config& c) { return read_into(c.body_limit, parse_limit, t); }},
    Known{"limits.message", "1MiB",
          [](const std::string& t, Config& c) { return read_into(c.message_limit, parse_limit, t); }},
    Known{"limits.header", "32KiB",
          [](const std::string& t, Config& c) { return read_into(c.header_limit, parse_limit, t); }},
    Known{"limits.uri", "8KiB", [](const std::string& t, Config& c) { return read_into(c.uri_limit, parse_limit, t); }},
    Known{"metrics.public", "true",
          [](const std::string& t, Config& c) { return read_into(c.metrics_public, parse_switch, t); }},
    Known{"python.interpreter", "/usr/bin/python3", &read_python},
    Known{"instances.most", kAuto, &read_most_instances},
    Known{"instances.memory", kAuto, &read_instance_memory},
    Known{"shutdown.grace", "10s",
          [](const std::string& t, Config& c) { return read_into(c.grace, parse_duration, t); }},
    Known{kDefaultClusterKey, kEmbeddedCluster, &read_default_cluster},
};

std::vector<std::string_view> known_keys() {
  std::vector<std::string_view> keys;
  keys.reserve(kKnown.size() + 1);
  for (const Known& known : kKnown) keys.push_back(known.key);
  keys.emplace_back(kClustersKey);
  return keys;
}

std::string environment_name(std::string_view key) {
  std::string name = "DHUB_";
  for (const char c : key) name += c == '.' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return name;
}

std::string flag_name(std::string_view key) {
  std::string name = "--";
  for (const char c : key) name += c == '.' || c == '_' ? '-' : c;
  return name;
}

struct Found {
  std::map<std::string, Setting, std::less<>> settings;
  std::vector<ClusterConfig> clusters;
};

bool is_section(std::string_view key) {
  return std::any_of(kKnown.begin(), kKnown.end(), [&](const Known& known) {
    return known.key.size() > key.size() && known.key.starts_with(key) && known.key[key.size()] == '.';
  });
}

// Takes the settings out of the mappings of a file, nested ones joined by dots.
class FileReader {
 public:
  FileReader(const std::string& path, const cli::Document& document, const Environment& environment, Found& found)
      : path_(path), document_(document), environment_(environment), found_(found) {}

  Status take(const json::object& object, const std::string& prefix, const std::string& pointer) {
    for (const auto& [name, value] : object) {
      const std::string key = prefix + std::string(name);
      const std::string below = pointer + '/' + std::string(name);
      const std::string where = fmt::format("{}:{}", path_, cli::line_of(document_, below));
      if (key == kClustersKey) {
        ASSIGN_OR_RETURN(found_.clusters, read_clusters(value, {path_, document_, below}, environment_));
      } else if (value.is_object() && is_section(key)) {
        RETURN_IF_ERROR(take(value.get_object(), key + '.', below));
      } else if (const auto keys = known_keys(); std::find(keys.begin(), keys.end(), key) == keys.end()) {
        return fail(ErrorCode::InvalidArgument,
                    fmt::format("{}: there is no setting '{}'; {}", where, key, did_you_mean(key, keys)));
      } else if (value.is_structured() || value.is_null()) {
        return fail(ErrorCode::InvalidArgument,
                    fmt::format("{}: {}: it needs one value, such as {}.", where, key, example(key)));
      } else {
        const std::string text = value.is_string() ? std::string(value.get_string()) : json::serialize(value);
        found_.settings[key] = {key, text, where};
      }
    }
    return {};
  }

 private:
  static std::string example(const std::string& key) {
    for (const Known& known : kKnown)
      if (known.key == key && *known.fallback != '\0') return known.fallback;
    return "a path";
  }

  const std::string& path_;
  const cli::Document& document_;
  const Environment& environment_;
  Found& found_;
};

Status read_file(const std::string& path, const Environment& environment, Found& found) {
  std::error_code ec;
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path, ec))
    return fail(ErrorCode::InvalidArgument, fmt::format("the configuration file {} cannot be read.", path));
  const std::string text(std::istreambuf_iterator<char>(file), {});
  ASSIGN_OR_RETURN(const std::vector<cli::Document> documents, cli::parse_documents(text, path));
  if (documents.empty()) return {};
  if (documents.size() > 1 || !documents.front().value.is_object())
    return fail(ErrorCode::InvalidArgument, fmt::format("{} must be one mapping of settings.", path));
  return FileReader(path, documents.front(), environment, found).take(documents.front().value.get_object(), "", "");
}

Setting choose(const Known& known, const cli::ServerFlags& flags, const Environment& environment, const Found& file) {
  const std::string key(known.key);
  if (const auto flag = flags.settings.find(key); flag != flags.settings.end())
    return {key, flag->second, flag_name(key)};
  const std::string name = environment_name(key);
  if (const std::string value = get(environment, name); !value.empty()) return {key, value, name};
  if (const auto entry = file.settings.find(key); entry != file.settings.end()) return entry->second;
  return {key, key == "data" ? cli::default_data_dir(environment) : known.fallback, "default"};
}

// A misspelt variable would otherwise be ignored without a word. Only near misses: other programs and service links
// also make names that begin with DHUB_.
void warn_of_near_misses(const Environment& environment, Config& config) {
  std::vector<std::string> names = {"DHUB_URL", "DHUB_TOKEN", "DHUB_TOKEN_FILE", "DHUB_CONFIG", kBootstrapVariable};
  for (const Known& known : kKnown) names.push_back(environment_name(known.key));
  const std::vector<std::string_view> views(names.begin(), names.end());
  for (const auto& [name, value] : environment) {
    if (!name.starts_with("DHUB_") || std::find(names.begin(), names.end(), name) != names.end()) continue;
    if (const std::string_view near = suggest(name, views); !near.empty())
      config.warnings.push_back(
          fmt::format("the environment sets {}, which means nothing; did you mean {}?", name, near));
  }
}

// DHUB_KAFKA_BOOTSTRAP_SERVERS is the one setting that suffices: it makes the cluster, or moves it, and makes it the
// default one unless somebody says which that is.
void take_bootstrap_servers(const Environment& environment, Config& config) {
  const std::string servers = get(environment, kBootstrapVariable);
  if (servers.empty()) return;
  set_bootstrap_servers(config.clusters, servers);
  for (Setting& setting : config.settings) {
    if (setting.key != kDefaultClusterKey || setting.source != "default") continue;
    setting = {setting.key, kEnvironmentCluster, kBootstrapVariable};
    config.default_cluster = setting.value;
  }
}

Status check_default_cluster(const Config& config) {
  std::vector<std::string_view> names{kEmbeddedCluster};
  for (const ClusterConfig& cluster : config.clusters) names.emplace_back(cluster.name);
  if (std::find(names.begin(), names.end(), config.default_cluster) != names.end()) return {};
  std::string source;
  for (const Setting& setting : config.settings)
    if (setting.key == kDefaultClusterKey) source = setting.source;
  return fail(ErrorCode::InvalidArgument,
              fmt::format("{}: {}: there is no cluster '{}'; {}", source, kDefaultClusterKey,
                          config.default_cluster.substr(0, 64), did_you_mean(config.default_cluster, names)));
}

// What of the clusters may be shown.
void list_properties(Config& config) {
  for (const ClusterConfig& cluster : config.clusters)
    for (const Setting& property : cluster.properties)
      config.settings.push_back({fmt::format("{}.{}.kafka.{}", kClustersKey, cluster.name, property.key),
                                 property.secret ? "***" : property.value, property.source, property.secret});
}

Status check_together(const Config& config) {
  if (!is_loopback(config.host) && !config.auth)
    return fail(ErrorCode::InvalidArgument,
                fmt::format("auth: without it everybody who reaches {} is its administrator; it can be off only when "
                            "the server listens on this machine alone.",
                            config.host));
  if (!is_loopback(config.host) && !config.insecure_http)
    return fail(
        ErrorCode::InvalidArgument,
        fmt::format("listen: {} is reachable from other machines and nothing encrypts the connections; listen on "
                    "127.0.0.1 behind a TLS proxy, or accept it with --insecure-http.",
                    config.host));
  if (config.message_limit > config.body_limit)
    return fail(ErrorCode::InvalidArgument, "limits.message must not be larger than limits.body.");
  return {};
}

}  // namespace

Result<Address> parse_address(const std::string& text) {
  const auto bad = [&] {
    return fail(ErrorCode::InvalidArgument,
                fmt::format("'{}' is not HOST:PORT, such as 127.0.0.1:8080 or [::1]:0.", text.substr(0, 64)));
  };
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) return bad();
  Address address;
  address.host = text.substr(0, colon);
  if (address.host.starts_with('[') && address.host.ends_with(']'))
    address.host = address.host.substr(1, address.host.size() - 2);
  else if (address.host.find(':') != std::string::npos)
    return bad();
  const char* const end = text.data() + text.size();
  const auto [at, ec] = std::from_chars(text.data() + colon + 1, end, address.port);
  if (ec != std::errc() || at != end || address.host.empty()) return bad();
  return address;
}

bool is_loopback(const std::string& host) {
  if (host == "localhost" || host == "::1") return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos;
}

Result<Config> read_config(const cli::ServerFlags& flags, const Environment& environment) {
  Found file;
  const std::string path = flags.config_file.empty() ? get(environment, "DHUB_CONFIG") : flags.config_file;
  if (!path.empty()) RETURN_IF_ERROR(read_file(path, environment, file));
  Config config;
  for (const Known& known : kKnown) {
    Setting setting = choose(known, flags, environment, file);
    if (const auto read = known.read(setting.value, config); !read) {
      const std::string where = setting.source == "default" ? setting.key : setting.source + ": " + setting.key;
      return fail(read.error().code, fmt::format("{}: {}", where, read.error().message));
    }
    config.settings.push_back(std::move(setting));
  }
  config.clusters = std::move(file.clusters);
  take_bootstrap_servers(environment, config);
  RETURN_IF_ERROR(check_default_cluster(config));
  list_properties(config);
  RETURN_IF_ERROR(check_together(config));
  warn_of_near_misses(environment, config);
  return config;
}

}  // namespace dhub::wiring
