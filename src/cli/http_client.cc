// SPDX-License-Identifier: Apache-2.0
#include "cli/http_client.h"

#include <algorithm>
#include <curl/curl.h>
#include <fmt/format.h>

#include "base/check.h"

namespace dhub::cli {
namespace {

constexpr std::size_t kMostReply = 64U << 20;
constexpr long kConnectTimeoutMs = 5000;

std::size_t take_body(char* bytes, std::size_t size, std::size_t count, void* target) {
  auto& body = *static_cast<std::string*>(target);
  if (body.size() + size * count > kMostReply) return 0;
  body.append(bytes, size * count);
  return size * count;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); });
  return out;
}

std::size_t take_header(char* bytes, std::size_t size, std::size_t count, void* target) {
  auto& headers = *static_cast<std::map<std::string, std::string>*>(target);
  const std::string_view line(bytes, size * count);
  const auto colon = line.find(':');
  if (line.starts_with("HTTP/")) headers.clear();  // an interim reply's headers are not the reply's
  if (colon != std::string_view::npos) {
    std::string_view value = line.substr(colon + 1);
    value = value.substr(std::min(value.find_first_not_of(" \t\r\n"), value.size()));
    value = value.substr(0, value.find_last_not_of(" \t\r\n") + 1);
    headers[lower(line.substr(0, colon))] = value;
  }
  return size * count;
}

HttpFailure::Kind kind_of(CURLcode code) {
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return HttpFailure::Kind::TimedOut;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return HttpFailure::Kind::BadUrl;
    case CURLE_WRITE_ERROR:
      return HttpFailure::Kind::TooLarge;
    default:
      return HttpFailure::Kind::Unreachable;
  }
}

struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, ListDeleter>;

HeaderList header_list(const std::vector<std::string>& headers) {
  // curl would wait a second for "100 Continue" before it sends a larger body.
  HeaderList list(curl_slist_append(nullptr, "Expect:"));
  for (const std::string& header : headers) {
    curl_slist* grown = curl_slist_append(list.get(), header.c_str());
    CHECK(grown != nullptr);
    static_cast<void>(list.release());
    list.reset(grown);
  }
  return list;
}

}  // namespace

struct HttpClient::Handle {
  CURL* curl = nullptr;
  char error[CURL_ERROR_SIZE] = {};
};

HttpClient::HttpClient() : handle_(std::make_unique<Handle>()) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  handle_->curl = curl_easy_init();
  CHECK(handle_->curl != nullptr);
}

HttpClient::~HttpClient() {
  curl_easy_cleanup(handle_->curl);
}

tl::expected<HttpReply, HttpFailure> HttpClient::send(const HttpRequest& request) {
  CURL* curl = handle_->curl;
  curl_easy_reset(curl);
  HttpReply reply;
  const HeaderList headers = header_list(request.headers);
  handle_->error[0] = '\0';
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, handle_->error);
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "dhub-cli");
  if (is_loopback_url(request.url)) curl_easy_setopt(curl, CURLOPT_PROXY, "");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
  const auto timeout = std::chrono::duration_cast<milliseconds>(request.timeout).count();
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<std::int64_t>(timeout, 1)));
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  if (request.body) {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body->size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body->data());
  }
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply.body);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &reply.headers);
  const CURLcode code = curl_easy_perform(curl);
  if (code != CURLE_OK) {
    const std::string detail = handle_->error[0] != '\0' ? handle_->error : curl_easy_strerror(code);
    return tl::unexpected(HttpFailure{kind_of(code), detail});
  }
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  reply.status = static_cast<int>(status);
  return reply;
}

std::string percent_encode(std::string_view text) {
  const bool dots = text.find_first_not_of('.') == std::string_view::npos;
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || c == '~' || (c == '.' && !dots);
    if (plain)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

bool is_loopback_url(std::string_view url) {
  const auto scheme = url.find("://");
  if (scheme == std::string_view::npos) return false;
  std::string_view authority = url.substr(scheme + 3);
  authority = authority.substr(0, authority.find_first_of("/?#"));
  if (authority.find_first_of("@\\") != std::string_view::npos) return false;  // user@host: too easily misread
  const std::string_view host = authority.starts_with('[') ? authority.substr(0, authority.find(']') + 1)
                                                           : authority.substr(0, authority.find(':'));
  if (host == "localhost" || host == "[::1]") return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace dhub::cli
