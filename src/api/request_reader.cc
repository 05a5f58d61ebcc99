// SPDX-License-Identifier: Apache-2.0
#include "api/request_reader.h"

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <fmt/format.h>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/time.h"

namespace dhub::api {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;
using boost::beast::string_view;

constexpr std::size_t kLastChunk = 5;           // "0", CR LF, CR LF
constexpr std::size_t kMostChunkHeader = 4096;  // of size, extensions or trailers that are not whole yet

std::string_view view(string_view text) {
  return {text.data(), text.size()};
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

Method method_of(http::verb verb) {
  switch (verb) {
    case http::verb::get:
      return Method::Get;
    case http::verb::head:
      return Method::Head;
    case http::verb::post:
      return Method::Post;
    case http::verb::put:
      return Method::Put;
    case http::verb::delete_:
      return Method::Delete;
    default:
      return Method::Other;
  }
}

Problem broken(std::string_view what) {
  return make_problem(400, "malformed", fmt::format("The request is not HTTP as this server takes it: {}.", what));
}

// Writes straight into a Request; a problem of ours ends the parsing with an error of Beast's.
class Parser : public http::basic_parser<true> {
 public:
  Parser(Request& request, const Limits& limits) : request_(request), limits_(limits) {
    header_limit(static_cast<std::uint32_t>(limits.header + 4));
    body_limit(limits.body);
    eager(false);
  }

  std::optional<Problem> problem;
  bool keep_body = true;
  bool expects_continue = false;

 private:
  error_code stop(Problem why) {
    problem = std::move(why);
    return http::error::bad_field;
  }

  void on_request_impl(http::verb verb, string_view, string_view target, int version, error_code& ec) override {
    request_.method = method_of(verb);
    if (version != 10 && version != 11) {
      ec = http::error::bad_version;
      return;
    }
    if (target.size() > limits_.uri) {
      ec = stop(make_problem(414, "uri_too_long",
                             fmt::format("The URL is longer than {} (limit `uri`).", size_to_string(limits_.uri))));
      return;
    }
    target_ = std::string(view(target));
    request_.path = printable_path(std::string_view(target_).substr(0, target_.find('?')));
  }

  void on_response_impl(int, string_view, int, error_code&) override {}

  void on_field_impl(http::field field, string_view name, string_view value, error_code& ec) override {
    if (in_body_) return;  // trailers may not change what was decided by the head
    if (field == http::field::content_length) {
      const bool digits = std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
      if (std::exchange(has_length_, true) || !digits) ec = stop(broken("Content-Length must be one number"));
    } else if (field == http::field::transfer_encoding) {
      if (std::exchange(has_encoding_, true) || lower(view(value)) != "chunked" || version_is_1_0())
        ec = stop(broken("Transfer-Encoding must be chunked, once, in HTTP/1.1"));
    } else if (field == http::field::host) {
      if (std::exchange(has_host_, true)) ec = stop(broken("there are two Host headers"));
      host_ = std::string(view(value));
    } else if (field == http::field::expect) {
      expects_continue = lower(view(value)) == "100-continue";
      if (!expects_continue) ec = stop(make_problem(417, "expectation_failed", "Expect may only be 100-continue."));
    }
    if (!ec && request_.headers.size() == limits_.headers)
      ec = stop(make_problem(431, "header_too_large",
                             fmt::format("There are more than {} headers (limit `headers`).", limits_.headers)));
    if (!ec) request_.headers.emplace_back(lower(view(name)), std::string(view(value)));
  }

  void on_header_impl(error_code& ec) override {
    in_body_ = true;
    if (!has_host_ && !version_is_1_0()) {
      ec = stop(broken("the header Host is missing"));
      return;
    }
    // Absolute form: proxies send it, and its host must be the one that Host names.
    std::string_view target = target_;
    if (lower(target.substr(0, 7)) == "http://") {
      const auto slash = std::min(target.find_first_of("/?", 7), target.size());
      if (lower(target.substr(7, slash - 7)) != lower(host_)) {
        ec = stop(broken("the target names another host than the header Host"));
        return;
      }
      target.remove_prefix(slash);
    }
    if (const auto parsed = api::parse_target(target, request_); !parsed) ec = stop(problem_of(parsed.error()));
  }

  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}

  std::size_t on_body_impl(string_view body, error_code&) override {
    if (keep_body) request_.body.append(body.data(), body.size());
    return body.size();
  }

  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}

  std::size_t on_chunk_body_impl(std::uint64_t, string_view body, error_code& ec) override {
    return on_body_impl(body, ec);
  }

  void on_finish_impl(error_code&) override {}

  [[nodiscard]] bool version_is_1_0() const { return !is_http_1_1_; }

 public:
  // Beast knows the version from the request line on, but does not tell before the head is done.
  bool is_http_1_1_ = true;

 private:
  Request& request_;
  const Limits& limits_;
  std::string target_;
  std::string host_;
  bool in_body_ = false;
  bool has_length_ = false;
  bool has_encoding_ = false;
  bool has_host_ = false;
};

Problem problem_for(const error_code& error, const Limits& limits) {
  if (error == http::error::body_limit)
    return make_problem(
        413, "too_large",
        fmt::format("The body is larger than {} (limit `body`); send it in parts.", size_to_string(limits.body)));
  if (error == http::error::header_limit)
    return make_problem(
        431, "header_too_large",
        fmt::format("The headers are larger than {} in all (limit `header`).", size_to_string(limits.header)));
  if (error == http::error::bad_version) return make_problem(505, "http_version", "Speak HTTP/1.1.");
  return broken(error.message());
}

}  // namespace

struct RequestReader::Parts {
  enum class Phase { Before, Head, Body, Done, Failed };

  explicit Parts(const Limits& all) : limits(all) {}

  const Limits& limits;
  Request request;
  std::optional<Parser> parser;
  std::optional<Problem> failure;
  Phase phase = Phase::Before;
  std::size_t scanned = 0;  // of the head, for its end and for what is not allowed in it

  ReadState fail(Problem why) {
    failure = std::move(why);
    phase = Phase::Failed;
    return ReadState::Failed;
  }
  ReadState skip_blank_lines(std::string_view& input);
  ReadState read_head(std::string_view& input);
  std::optional<Problem> scan_head(std::string_view input, std::size_t& end);
  ReadState parse_head(std::string_view& input, std::size_t end);
  ReadState read_body(std::string_view& input);
};

// A robust server takes an empty line before the request line: some clients send one after a body.
ReadState RequestReader::Parts::skip_blank_lines(std::string_view& input) {
  while (input.substr(0, 2) == "\r\n") input.remove_prefix(2);
  if (input.empty() || input == "\r") return ReadState::NeedMore;
  phase = Phase::Head;
  scanned = 0;
  return read_head(input);
}

// Looks only at bytes that were not looked at before. `end` is the length of the head when it is whole, else 0.
std::optional<Problem> RequestReader::Parts::scan_head(std::string_view input, std::size_t& end) {
  end = 0;
  for (; scanned < input.size(); ++scanned) {
    const char c = input[scanned];
    const char before = scanned == 0 ? '\0' : input[scanned - 1];
    if (c == '\0') return broken("there is a zero byte in the head");
    if (before == '\r' && c != '\n') return broken("a carriage return stands alone");
    if (c == '\n' && before != '\r') return broken("lines must end with CR LF");
    const bool begins_line = before == '\n';
    if (begins_line && (c == ' ' || c == '\t')) return broken("a header is folded over two lines");
    if (begins_line && c == '\r' && scanned + 1 < input.size() && input[scanned + 1] == '\n') {
      end = scanned + 2;
      return std::nullopt;
    }
    if (begins_line && c == '\r') return std::nullopt;  // come back to this byte when its line feed is there
  }
  return std::nullopt;
}

ReadState RequestReader::Parts::read_head(std::string_view& input) {
  std::size_t end = 0;
  const auto line = input.substr(0, input.find('\r'));
  // Before the end of the head is seen: the method, two blanks and the version are at most 64 bytes.
  if (line.size() > limits.uri + 64)
    return fail(make_problem(414, "uri_too_long",
                             fmt::format("The URL is longer than {} (limit `uri`).", size_to_string(limits.uri))));
  if (auto problem = scan_head(input, end)) return fail(std::move(*problem));
  if (std::max(end, end == 0 ? input.size() : 0) > limits.header)
    return fail(problem_for(http::error::header_limit, limits));
  return end == 0 ? ReadState::NeedMore : parse_head(input, end);
}

ReadState RequestReader::Parts::parse_head(std::string_view& input, std::size_t end) {
  parser.emplace(request, limits);
  const auto line = input.substr(0, input.find('\r'));
  parser->is_http_1_1_ = line.size() < 8 || line.substr(line.size() - 8) != "HTTP/1.0";
  error_code error;
  parser->put(boost::asio::const_buffer(input.data(), end), error);
  if (error || !parser->is_header_done())
    return fail(parser->problem ? std::move(*parser->problem) : problem_for(error, limits));
  input.remove_prefix(end);
  phase = parser->is_done() ? Phase::Done : Phase::Body;
  parser->eager(true);
  return ReadState::HeadDone;
}

ReadState RequestReader::Parts::read_body(std::string_view& input) {
  if (input.empty()) return ReadState::NeedMore;
  // Beast asserts this when the last chunk comes in pieces. At least as many bytes follow in any chunked body.
  if (parser->chunked() && input.size() < kLastChunk) return ReadState::NeedMore;
  error_code error;
  const std::size_t taken = parser->put(boost::asio::const_buffer(input.data(), input.size()), error);
  input.remove_prefix(taken);
  if (error && error != http::error::need_more)
    return fail(parser->problem ? std::move(*parser->problem) : problem_for(error, limits));
  if (parser->is_done()) {
    phase = Phase::Done;
    return ReadState::Done;
  }
  if (input.size() > kMostChunkHeader) return fail(broken("the head of a chunk, or the trailers, are too long"));
  return ReadState::NeedMore;
}

RequestReader::RequestReader(const Limits& limits) : parts_(std::make_unique<Parts>(limits)) {}
RequestReader::~RequestReader() = default;

ReadState RequestReader::feed(std::string_view& input) {
  switch (parts_->phase) {
    case Parts::Phase::Before:
      return parts_->skip_blank_lines(input);
    case Parts::Phase::Head:
      return parts_->read_head(input);
    case Parts::Phase::Body:
      return parts_->read_body(input);
    case Parts::Phase::Done:
      return ReadState::Done;
    case Parts::Phase::Failed:
      break;
  }
  return ReadState::Failed;
}

void RequestReader::reset() {
  parts_->parser.reset();
  parts_->request = Request{};
  parts_->phase = Parts::Phase::Before;
}

void RequestReader::discard_body() {
  CHECK(parts_->parser.has_value());
  parts_->parser->keep_body = false;
}

Request& RequestReader::request() {
  return parts_->request;
}

const Problem& RequestReader::failure() const {
  CHECK(parts_->failure.has_value());
  return *parts_->failure;
}

bool RequestReader::begun() const {
  return parts_->phase != Parts::Phase::Before;
}

bool RequestReader::keep_alive() const {
  return parts_->parser && parts_->parser->is_header_done() && parts_->parser->keep_alive();
}

bool RequestReader::expects_continue() const {
  return parts_->parser && parts_->parser->expects_continue && parts_->phase == Parts::Phase::Body;
}

bool RequestReader::is_http_1_0() const {
  return parts_->parser && !parts_->parser->is_http_1_1_;
}

}  // namespace dhub::api
