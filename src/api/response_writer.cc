// SPDX-License-Identifier: Apache-2.0
#include "api/response_writer.h"

#include <array>
#include <ctime>
#include <fmt/format.h>
#include <iterator>

namespace dhub::api {
namespace {

// "Mon, 23 Nov 2026 10:20:30 GMT", whatever the locale.
void append_date(std::string& out, WallTime now) {
  static constexpr std::array<std::string_view, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds = now.ms / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  fmt::format_to(std::back_inserter(out), "Date: {}, {:02} {} {} {:02}:{:02}:{:02} GMT\r\n",
                 kDays[static_cast<std::size_t>(utc.tm_wday)], utc.tm_mday,
                 kMonths[static_cast<std::size_t>(utc.tm_mon)], utc.tm_year + 1900, utc.tm_hour, utc.tm_min,
                 utc.tm_sec);
}

// No value can end its line, wherever it comes from.
void append_header(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  for (const char c : value)
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) out += c;
  out += "\r\n";
}

}  // namespace

void append_answer(std::string& out, const Response& response, const AnswerFrame& frame) {
  const std::string problem =
      response.problem ? to_json(*response.problem, frame.instance, frame.trace_id) : std::string();
  const std::string& body = response.problem ? problem : response.body;
  fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\n", response.status, reason_phrase(response.status));
  append_date(out, frame.now);
  append_header(out, "Content-Type", response.problem ? "application/problem+json" : response.content_type);
  fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", body.size());
  for (const auto& [name, value] : response.headers) append_header(out, name, value);
  out += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
  if (frame.close)
    out += "Connection: close\r\n";
  else if (frame.http_1_0)
    out += "Connection: keep-alive\r\n";
  out += "\r\n";
  if (!frame.head_only) out += body;
}

}  // namespace dhub::api
