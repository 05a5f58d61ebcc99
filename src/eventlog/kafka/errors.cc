// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/errors.h"

#include <fmt/format.h>

namespace dhub::kafka {
namespace {

struct Meaning {
  ErrorCode code;
  const char* action;
};

Meaning meaning_of(rd_kafka_resp_err_t code) {
  switch (code) {
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      return {ErrorCode::NotFound, "Create the topic with Kafka's own tools, or correct its name."};
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_ID:
      return {ErrorCode::Conflict, "It was deleted and made again: it is another topic now."};
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      return {ErrorCode::PermissionDenied, "Give this server's user the right in Kafka's ACLs."};
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR__SSL:
      return {ErrorCode::PermissionDenied, "Check the cluster's security settings; `dhub doctor` tries them."};
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP:
      return {ErrorCode::Conflict,
              "Consumers read in this group themselves: let them have another, or stop the trigger."};
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
      return {ErrorCode::TooLarge,
              "Send less, or raise max.message.bytes of the topic and message.max.bytes of the "
              "cluster's settings."};
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
      return {ErrorCode::InvalidArgument, "Correct it."};
    default:
      return {ErrorCode::Unavailable,
              "What runs goes on by itself, a call must be repeated; `dhub doctor` looks for the cause."};
  }
}

}  // namespace

Error to_error(rd_kafka_resp_err_t code, const std::string& what, const std::string& detail) {
  const Meaning meaning = meaning_of(code);
  return Error{meaning.code, fmt::format("{}: {}. {}", what, detail, meaning.action)};
}

Error to_error(rd_kafka_resp_err_t code, const std::string& what) {
  return to_error(code, what, rd_kafka_err2str(code));
}

}  // namespace dhub::kafka
