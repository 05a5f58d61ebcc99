// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>

#include "api/problem.h"
#include "api/request.h"
#include "api/server.h"

namespace dhub::api {

enum class ReadState {
  NeedMore,  // all that can be used is taken; come again with more bytes behind what is left
  HeadDone,  // told once per request: everything but the body is known
  Done,      // the request is whole; bytes of the next one may follow
  Failed,    // the framing is broken or too large: answer failure() and close
};

// Turns the bytes of one connection into requests, one after another. Strict where two readers of the same bytes could
// see different requests: bare line feeds, folded headers, a second or unusual Content-Length, any Transfer-Encoding
// but chunked are refused. Bounded by the limits whatever is sent. No I/O; one thread.
class RequestReader {
 public:
  explicit RequestReader(const Limits& limits);
  ~RequestReader();
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  // Takes what it can off the front of `input`.
  ReadState feed(std::string_view& input);
  // Forgets the request, to read the next one.
  void reset();
  // The body is read but not kept: for requests that are refused by their head.
  void discard_body();

  [[nodiscard]] Request& request();
  [[nodiscard]] const Problem& failure() const;
  // Has the first byte of a request been seen?
  [[nodiscard]] bool begun() const;
  [[nodiscard]] bool keep_alive() const;
  [[nodiscard]] bool expects_continue() const;
  [[nodiscard]] bool is_http_1_0() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace dhub::api
