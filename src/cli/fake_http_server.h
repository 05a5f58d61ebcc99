// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <cstdlib>
#include <fmt/format.h>
#include <functional>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "base/check.h"
#include "base/guarded.h"

namespace dhub::cli {

// For tests: an HTTP server on a free port of loopback that answers what the test says and remembers what it was
// asked. One connection at a time, closed after each reply.
class FakeHttpServer {
 public:
  struct Request {
    std::string method;
    std::string target;
    std::string head;  // request line and headers
    std::string body;
  };
  struct Reply {
    int status = 200;
    std::string body = "{}";
    std::string headers = {};  // further lines, each with its \r\n
    std::string type = "application/json";
  };
  using Answer = std::function<Reply(const Request&)>;

  explicit FakeHttpServer(Answer answer) : answer_(std::move(answer)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    CHECK(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    CHECK(::listen(listener_, 16) == 0);
    CHECK(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    url_ = fmt::format("http://127.0.0.1:{}", ntohs(address.sin_port));
    thread_ = std::jthread([this] { run(); });
  }
  ~FakeHttpServer() {
    ::shutdown(listener_, SHUT_RDWR);  // wakes accept()
    thread_.join();
    ::close(listener_);
  }
  FakeHttpServer(const FakeHttpServer&) = delete;
  FakeHttpServer& operator=(const FakeHttpServer&) = delete;

  [[nodiscard]] const std::string& url() const { return url_; }
  [[nodiscard]] std::vector<Request> requests() const {
    return requests_.with([](const auto& requests) { return requests; });
  }

 private:
  void run() {
    for (int connection = 0; (connection = ::accept(listener_, nullptr, nullptr)) >= 0; ::close(connection))
      serve(connection);
  }

  void serve(int connection) {
    std::string bytes;
    char piece[4096];
    const auto read_more = [&] {
      const ssize_t got = ::read(connection, piece, sizeof piece);
      if (got > 0) bytes.append(piece, static_cast<std::size_t>(got));
      return got > 0;
    };
    while (bytes.find("\r\n\r\n") == std::string::npos)
      if (!read_more()) return;
    Request request;
    request.head = bytes.substr(0, bytes.find("\r\n\r\n") + 2);
    bytes.erase(0, request.head.size() + 2);
    const auto length = request.head.find("Content-Length: ");
    const std::size_t wanted =
        length == std::string::npos ? 0 : std::strtoul(request.head.c_str() + length + 16, nullptr, 10);
    while (bytes.size() < wanted)
      if (!read_more()) return;
    request.body = bytes;
    request.method = request.head.substr(0, request.head.find(' '));
    request.target = request.head.substr(request.method.size() + 1);
    request.target.erase(request.target.find(' '));
    requests_.with([&](auto& requests) { requests.push_back(request); });
    const Reply reply = answer_(request);
    const std::string text =
        fmt::format("HTTP/1.1 {} X\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n{}\r\n{}",
                    reply.status, reply.type, reply.body.size(), reply.headers, reply.body);
    for (std::string_view rest = text; !rest.empty();) {
      const ssize_t sent = ::send(connection, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      rest.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  Answer answer_;
  int listener_ = -1;
  std::string url_;
  Guarded<std::vector<Request>> requests_;
  std::jthread thread_;
};

}  // namespace dhub::cli
