// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <boost/json.hpp>
#include <cstdlib>
#include <gtest/gtest.h>
#include <map>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "api/fake_ports.h"
#include "api/server.h"

// A client that sends exactly the bytes it is given, and a server over fakes to send them to.
namespace dhub::api {

struct FakeAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  bool whole = false;  // false: the connection ended first

  [[nodiscard]] boost::json::value json() const {
    boost::json::error_code error;
    auto value = boost::json::parse(body, error);
    EXPECT_FALSE(error) << body;
    return value;
  }
  // "code" of a problem; says in the test when it is none.
  [[nodiscard]] std::string code() const {
    EXPECT_EQ(headers.count("content-type") ? headers.at("content-type") : "", "application/problem+json") << body;
    const auto value = json();
    EXPECT_EQ(value.as_object().at("status").as_int64(), status) << body;
    for (const char* name : {"type", "title", "detail", "instance", "trace_id"})
      EXPECT_TRUE(value.as_object().contains(name)) << name << " in " << body;
    return std::string(value.as_object().at("code").as_string());
  }
  // The pointers of a problem's "errors", with blanks between.
  [[nodiscard]] std::string pointers() const {
    std::string all;
    const auto value = json();
    if (const auto* errors = value.as_object().if_contains("errors"))
      for (const auto& error : errors->as_array())
        all += (all.empty() ? "" : " ") + std::string(error.at("pointer").as_string());
    return all;
  }
  [[nodiscard]] std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

// One connection. Waits at most 30 s for anything.
class FakeClient {
 public:
  explicit FakeClient(std::uint16_t port, int receive_buffer = 0) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval patience{30, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (receive_buffer > 0) setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  ~FakeClient() { ::close(socket_); }
  FakeClient(const FakeClient&) = delete;
  FakeClient& operator=(const FakeClient&) = delete;

  // False when the other side has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  void finish_sending() { ::shutdown(socket_, SHUT_WR); }

  FakeAnswer read_answer(bool to_head = false) {
    FakeAnswer answer;
    while (input_.find("\r\n\r\n") == std::string::npos)
      if (!receive()) return answer;
    const auto end = input_.find("\r\n\r\n");
    parse_head(input_.substr(0, end + 2), answer);
    input_.erase(0, end + 4);
    const bool bodyless = to_head || answer.status < 200;
    const auto length = bodyless ? 0 : std::strtoull(answer.header("content-length").c_str(), nullptr, 10);
    while (input_.size() < length)
      if (!receive()) return answer;
    answer.body = input_.substr(0, length);
    input_.erase(0, length);
    answer.whole = true;
    return answer;
  }
  // True when the server ends the connection in good order, without sending anything more: not by a reset, which may
  // cost the client an answer that it has not read yet.
  bool is_closed() { return input_.empty() && !receive() && received_ == 0; }

 private:
  bool receive() {
    char bytes[65536];
    received_ = ::recv(socket_, bytes, sizeof bytes, 0);
    if (received_ > 0) input_.append(bytes, static_cast<std::size_t>(received_));
    return received_ > 0;
  }
  static void parse_head(std::string_view head, FakeAnswer& answer) {
    answer.status = std::atoi(std::string(head.substr(9, 3)).c_str());
    head.remove_prefix(head.find("\r\n") + 2);
    while (!head.empty()) {
      const auto line = head.substr(0, head.find("\r\n"));
      head.remove_prefix(line.size() + 2);
      std::string name(line.substr(0, line.find(':')));
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      answer.headers[name] = line.substr(line.find(':') + 2);
    }
  }

  int socket_;
  ssize_t received_ = 0;  // by the last call
  std::string input_;
};

// A server over fakes, and calls to it. Change the fakes before a call that uses them.
class FakeWorld : public testing::Test {
 protected:
  static constexpr const char* kToken = "dhub_secret";

  FakeWorld() {
    options.port = 0;
    options.admin_token = kToken;
    options.version = "1.2.3";
  }
  ~FakeWorld() override { server.reset(); }

  void start() {
    auto created = Server::create(options, {catalog, log, journal, archive, triggers, pipelines, metrics, logger,
                                            read_clocks, [this] { return checks; }});
    ASSERT_TRUE(created) << created.error().message;
    server = std::move(*created);
  }
  [[nodiscard]] std::uint16_t port() {
    if (!server) start();
    const std::string& url = server->url();
    return static_cast<std::uint16_t>(std::atoi(url.substr(url.rfind(':') + 1).c_str()));
  }
  using Headers = std::map<std::string, std::string>;
  // Instead of the token, nothing.
  static Headers nobody() { return {{"Authorization", ""}}; }
  [[nodiscard]] static std::string request_text(std::string_view method, std::string_view target,
                                                std::string_view body = {}, const Headers& headers = {}) {
    std::string text = fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\n", method, target);
    if (headers.count("Authorization") == 0) text += fmt::format("Authorization: Bearer {}\r\n", kToken);
    for (const auto& [name, value] : headers)
      if (name != "Authorization" || !value.empty()) text += fmt::format("{}: {}\r\n", name, value);
    if (!body.empty() || method == "POST" || method == "PUT")
      text += fmt::format("Content-Length: {}\r\n", body.size());
    return fmt::format("{}\r\n{}", text, body);
  }
  FakeAnswer send(const std::string& bytes) {
    FakeClient client(port());
    client.send(bytes);
    return client.read_answer();
  }
  FakeAnswer call(std::string_view method, std::string_view target, std::string_view body = {},
                  const Headers& headers = {}) {
    return send(request_text(method, target, body, headers));
  }
  FakeAnswer get(std::string_view path) { return call("GET", fmt::format("/api/v1{}", path)); }
  FakeAnswer post(std::string_view path, std::string_view body = {}, const Headers& headers = {}) {
    return call("POST", fmt::format("/api/v1{}", path), body, headers);
  }
  FakeAnswer put(std::string_view path, std::string_view body, const Headers& headers = {}) {
    return call("PUT", fmt::format("/api/v1{}", path), body, headers);
  }
  FakeAnswer remove(std::string_view path, const Headers& headers = {}) {
    return call("DELETE", fmt::format("/api/v1{}", path), {}, headers);
  }
  [[nodiscard]] std::string logged() {
    return lines.with([](const std::string& text) { return text; });
  }

  FakeCatalog catalog;
  FakeEventLog log;
  FakeJournal journal;
  FakeRunArchive archive;
  FakeTriggers triggers;
  FakeScriptChecker checker;
  service::Pipelines pipelines{catalog, checker, 1};
  Metrics metrics;
  Guarded<std::string> lines;
  Logger logger{LogFormat::Logfmt, LogLevel::Debug, [this](std::string_view line) {
                  lines.with([&](std::string& text) { text += line; });
                  return true;
                }};
  std::vector<Check> checks;
  ServerOptions options;
  std::unique_ptr<Server> server;
};

}  // namespace dhub::api
