// SPDX-License-Identifier: Apache-2.0
// One connection's bytes: the requests read from them are the same however the bytes arrive.
#include <algorithm>
#include <string>
#include <vector>

#include "api/request_reader.h"
#include "base/check.h"
#include "fuzz/input.h"

namespace dhub::fuzz {
namespace {

using api::ReadState;
using api::RequestReader;

api::Limits small_limits() {
  api::Limits limits;
  limits.body = 1000;
  limits.header = 2000;
  limits.uri = 300;
  limits.headers = 20;
  return limits;
}

struct Exchange {
  std::vector<api::Request> requests;
  int failure = 0;
  std::size_t left = 0;  // unread bytes behind which more are waited for
};

// For more of a chunk. When that can no longer become right is told sooner or later: Beast looks for the end of a
// quoted extension as far as bytes have come, and the last bytes of a body are read together.
bool waits(const Exchange& exchange) {
  return exchange.failure == 0 && exchange.left > 0;
}

void check_request(const api::Request& request, const api::Limits& limits) {
  CHECK(request.body.size() <= limits.body);
  CHECK(request.headers.size() <= limits.headers);
  CHECK(!request.path.empty() && request.path.size() <= 3 * limits.uri);  // what is not printable is encoded
  for (const auto& [name, value] : request.headers) {
    CHECK(std::none_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; }));
    CHECK(value.find_first_of("\r\n") == std::string::npos);
  }
}

Exchange read(std::string_view bytes, std::size_t step) {
  const api::Limits limits = small_limits();
  RequestReader reader(limits);
  Exchange exchange;
  std::string input;
  while (true) {
    std::string_view view = input;
    const ReadState state = reader.feed(view);
    input.erase(0, input.size() - view.size());
    if (state == ReadState::Failed) {
      exchange.failure = reader.failure().status;
      CHECK(exchange.failure >= 400);
      return exchange;
    }
    if (state == ReadState::Done) {
      check_request(reader.request(), limits);
      exchange.requests.push_back(reader.request());
      reader.reset();
    } else if (state == ReadState::NeedMore) {
      if (bytes.empty()) {
        exchange.left = input.size();
        return exchange;
      }
      const auto next = std::min(step, bytes.size());
      input += bytes.substr(0, next);
      bytes.remove_prefix(next);
    }
  }
}

bool same(const api::Request& a, const api::Request& b) {
  return a.method == b.method && a.path == b.path && a.segments == b.segments && a.query == b.query &&
         a.headers == b.headers && a.body == b.body;
}

}  // namespace
}  // namespace dhub::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto bytes = dhub::fuzz::text_of(data, size);
  const std::size_t step = std::size_t{1} + dhub::fuzz::take_byte(bytes) % 64;
  const auto whole = dhub::fuzz::read(bytes, bytes.size() + 1);
  const auto pieces = dhub::fuzz::read(bytes, step);
  // Which of several rules was broken first depends on what has come; that one was, does not.
  CHECK((whole.failure != 0) == (pieces.failure != 0) || dhub::fuzz::waits(whole) || dhub::fuzz::waits(pieces));
  CHECK(std::equal(whole.requests.begin(), whole.requests.end(), pieces.requests.begin(), pieces.requests.end(),
                   dhub::fuzz::same));
  return 0;
}
