// SPDX-License-Identifier: Apache-2.0
#include "cli/connection.h"

#include <boost/json/value.hpp>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <optional>

#include "cli/http_client.h"
#include "cli/json_text.h"

namespace dhub::cli {
namespace {

constexpr std::size_t kMostSmallFile = 4096;

// The first bytes of a small file; none when it cannot be read.
std::optional<std::string> read_small_file(const std::string& path) {
  std::error_code ec;
  if (std::filesystem::is_directory(path, ec)) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string content(kMostSmallFile, '\0');
  file.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<std::size_t>(file.gcount()));
  return content;
}

std::string url_of_server_json(const std::string& path) {
  const auto content = read_small_file(path);
  if (!content) return {};
  const auto parsed = parse_json(*content);
  if (!parsed || !parsed->is_object()) return {};
  const auto* url = parsed->get_object().if_contains("url");
  return url != nullptr && url->is_string() ? std::string(url->get_string()) : std::string();
}

// A header must not be broken by what stands in a file.
Answer<std::string> checked_token(std::string_view text, const std::string& source) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first != std::string_view::npos) text = text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
  bool good = first != std::string_view::npos;
  for (const char c : text) good = good && c > ' ' && c < 0x7f;
  if (!good)
    return failed(ExitCode::Unauthorized, "no token",
                  fmt::format("{} does not hold an access token on one line.", source));
  return std::string(text);
}

Answer<std::string> token_of_file(const std::string& path, const std::string& source) {
  const auto content = read_small_file(path);
  if (!content) return failed(ExitCode::Unauthorized, "no token", fmt::format("{} ({}) cannot be read.", path, source));
  return checked_token(*content, path);
}

Answer<std::string> checked_url(std::string url, const std::string& source) {
  while (url.ends_with('/')) url.pop_back();
  const bool known = url.starts_with("http://") || url.starts_with("https://");
  if (!known || url.find_first_of(" \t\r\n?#") != std::string::npos)
    return failed(ExitCode::Usage, "not a server URL",
                  fmt::format("'{}' ({}) is not of the form http://HOST:PORT.", url, source));
  return url;
}

Answer<void> find_url(Connection& found, const ConnectionFlags& flags, const Environment& environment,
                      const std::string& data) {
  std::string url = flags.url;
  found.url_source = "--url";
  if (url.empty() && flags.data.empty()) {
    url = get(environment, "DHUB_URL");
    found.url_source = "DHUB_URL";
  }
  if (url.empty()) {
    found.url_source = data + "/server.json";
    url = data.empty() ? std::string() : url_of_server_json(found.url_source);
    if (url.empty())
      return failed(ExitCode::Unreachable, "no server found",
                    fmt::format("{} names none, and neither --url nor DHUB_URL is given.", found.url_source),
                    "dhub serve");
  }
  auto checked = checked_url(std::move(url), found.url_source);
  if (!checked) return tl::unexpected(checked.error());
  found.url = std::move(*checked);
  return {};
}

Answer<std::string> find_token(Connection& found, const ConnectionFlags& flags, const Environment& environment,
                               const std::string& data) {
  if (!flags.token_file.empty()) {
    found.token_source = flags.token_file;
    return token_of_file(flags.token_file, "--token-file");
  }
  if (const std::string token = get(environment, "DHUB_TOKEN"); !token.empty()) {
    found.token_source = "DHUB_TOKEN";
    return checked_token(token, "DHUB_TOKEN");
  }
  if (const std::string path = get(environment, "DHUB_TOKEN_FILE"); !path.empty()) {
    found.token_source = path;
    return token_of_file(path, "DHUB_TOKEN_FILE");
  }
  const std::string path = data + "/admin-token";
  const bool ours = is_loopback_url(found.url) || found.url == url_of_server_json(data + "/server.json");
  if (data.empty() || !ours || !std::filesystem::exists(path)) return std::string();
  found.token_source = path;
  return token_of_file(path, "the data directory's admin token");
}

}  // namespace

std::string default_data_dir(const Environment& environment) {
  if (const std::string data = get(environment, "DHUB_DATA"); !data.empty()) return data;
  if (const std::string state = get(environment, "XDG_STATE_HOME"); !state.empty()) return state + "/dhub";
  const std::string home = get(environment, "HOME");
  return home.empty() ? std::string() : home + "/.local/state/dhub";
}

Answer<Connection> find_connection(const ConnectionFlags& flags, const Environment& environment) {
  const std::string data = flags.data.empty() ? default_data_dir(environment) : flags.data;
  Connection found;
  if (const auto url = find_url(found, flags, environment, data); !url) return tl::unexpected(url.error());
  auto token = find_token(found, flags, environment, data);
  if (!token) return tl::unexpected(token.error());
  found.token = std::move(*token);
  return found;
}

}  // namespace dhub::cli
