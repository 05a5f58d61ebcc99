// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/handle.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace dhub::kafka {
namespace {

struct ConfDeleter {
  void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
};
using Conf = std::unique_ptr<rd_kafka_conf_t, ConfDeleter>;

Result<Conf> make_conf(const Properties& properties) {
  Conf conf(rd_kafka_conf_new());
  std::array<char, 512> why{};
  for (const auto& [name, value] : properties)
    if (rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), why.data(), why.size()) != RD_KAFKA_CONF_OK)
      return fail(ErrorCode::InvalidArgument, fmt::format("{}: librdkafka refuses it: {}.", name, why.data()));
  return conf;
}

// Syslog's levels, as librdkafka uses them.
LogLevel level_of(int level) {
  if (level <= 3) return LogLevel::Error;
  if (level <= 4) return LogLevel::Warn;
  return level <= 6 ? LogLevel::Info : LogLevel::Debug;
}

bool uses_tokens(const Properties& properties) {
  return std::any_of(properties.begin(), properties.end(), [](const auto& property) {
    return (property.first == "sasl.mechanisms" || property.first == "sasl.mechanism") &&
           property.second == "OAUTHBEARER";
  });
}

}  // namespace

Status check_properties(const Properties& properties) {
  RETURN_IF_ERROR(make_conf(properties));
  return {};
}

Result<std::unique_ptr<Handle>> Handle::open(Role role, const Properties& properties, HandleEvents events) {
  ASSIGN_OR_RETURN(Conf conf, make_conf(properties));
  std::unique_ptr<Handle> handle(new Handle(std::move(events)));
  rd_kafka_conf_set_opaque(conf.get(), handle.get());
  rd_kafka_conf_set_log_cb(conf.get(), &Handle::log_callback);
  rd_kafka_conf_set_error_cb(conf.get(), &Handle::error_callback);
  if (role == Role::Producer) rd_kafka_conf_set_dr_msg_cb(conf.get(), &Handle::delivery_callback);
  // Token refreshes are served by a thread of the library's own, for not every handle is polled often.
  const bool tokens = uses_tokens(properties);
  if (tokens) rd_kafka_conf_enable_sasl_queue(conf.get(), 1);
  std::array<char, 512> why{};
  const auto type = role == Role::Producer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER;
  handle->rk_ = rd_kafka_new(type, conf.get(), why.data(), why.size());
  if (handle->rk_ == nullptr)
    return fail(ErrorCode::InvalidArgument, fmt::format("librdkafka refuses the settings: {}.", why.data()));
  (void)conf.release();  // it is the handle's now
  if (tokens)
    if (rd_kafka_error_t* error = rd_kafka_sasl_background_callbacks_enable(handle->rk_)) rd_kafka_error_destroy(error);
  return handle;
}

Handle::~Handle() {
  if (rk_ == nullptr) return;
  rd_kafka_destroy_flags(rk_, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

void Handle::log_callback(const rd_kafka_t* rk, int level, const char* facility, const char* text) {
  const auto* handle = static_cast<const Handle*>(rd_kafka_opaque(rk));
  if (handle != nullptr && handle->events_.on_log)
    handle->events_.on_log(level_of(level), fmt::format("{}: {}", facility, text));
}

void Handle::error_callback(rd_kafka_t*, int code, const char* reason, void* opaque) {
  auto* handle = static_cast<Handle*>(opaque);
  const auto error = static_cast<rd_kafka_resp_err_t>(code);
  // That all brokers are down says nothing about why, and comes after what does.
  handle->trouble_.with([&](std::optional<Trouble>& trouble) {
    if (error != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || !trouble) trouble = Trouble{error, reason};
  });
  if (handle->events_.on_error) handle->events_.on_error(error, reason);
}

std::optional<Handle::Trouble> Handle::trouble() {
  poll(0);  // what it has to tell comes by a callback
  return trouble_.with([](const std::optional<Trouble>& trouble) { return trouble; });
}

void Handle::delivery_callback(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
  const auto* handle = static_cast<const Handle*>(opaque);
  if (handle->events_.on_delivered) handle->events_.on_delivered(*message);
}

}  // namespace dhub::kafka
