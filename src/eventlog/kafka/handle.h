// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <librdkafka/rdkafka.h>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/guarded.h"
#include "base/log.h"
#include "base/result.h"

namespace dhub::kafka {

// Settings of librdkafka, by its names, in order; a later one replaces an earlier one of the same name.
using Properties = std::vector<std::pair<std::string, std::string>>;

enum class Role { Consumer, Producer };

// What a handle tells. Called on threads of librdkafka and on that of whoever polls; must be quick.
struct HandleEvents {
  std::function<void(LogLevel, const std::string& text)> on_log;
  std::function<void(rd_kafka_resp_err_t, const std::string& text)> on_error;
  std::function<void(const rd_kafka_message_t&)> on_delivered;  // of a producer
};

// One client of a cluster: its connections, its threads. Thread-safe as librdkafka is. Closing takes its time (joins
// threads, and waits for messages that somebody still holds), so the last owner should be somebody who may wait.
class Handle {
 public:
  // InvalidArgument names the property that librdkafka refuses. Does not wait for a connection.
  static Result<std::unique_ptr<Handle>> open(Role role, const Properties& properties, HandleEvents events);
  ~Handle();
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  [[nodiscard]] rd_kafka_t* get() const { return rk_; }
  // Serves callbacks that wait, for at most `timeout_ms`.
  void poll(int timeout_ms) { rd_kafka_poll(rk_, timeout_ms); }

  struct Trouble {
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    std::string text;
  };
  // Why no broker can be reached, or lets us in, as far as the client knows: requests themselves only time out.
  [[nodiscard]] std::optional<Trouble> trouble();
  // A broker has answered.
  void note_answer() {
    trouble_.with([](auto& trouble) { trouble.reset(); });
  }

 private:
  explicit Handle(HandleEvents events) : events_(std::move(events)) {}
  static void log_callback(const rd_kafka_t* rk, int level, const char* facility, const char* text);
  static void error_callback(rd_kafka_t* rk, int code, const char* reason, void* opaque);
  static void delivery_callback(rd_kafka_t* rk, const rd_kafka_message_t* message, void* opaque);

  rd_kafka_t* rk_ = nullptr;
  HandleEvents events_;
  Guarded<std::optional<Trouble>> trouble_;
};

// Would librdkafka take these? InvalidArgument names the first property that it does not.
[[nodiscard]] Status check_properties(const Properties& properties);

}  // namespace dhub::kafka
