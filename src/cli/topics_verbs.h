// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/session.h"

namespace dhub::cli {

struct PublishOptions {
  std::string topic;
  std::optional<std::string> key;
  std::optional<std::string> value;  // else `file`
  std::string file;                  // "-": standard input
  bool ndjson = false;               // the input holds one message a line
  std::vector<std::string> headers;  // "name=value"
};

struct ReadOptions {
  std::string topic;
  std::int32_t partition = 0;
  std::optional<std::int64_t> offset;  // none: what the server begins with
  std::size_t limit = 50;
};

struct TopicOptions {
  std::string topic;
  std::optional<std::int32_t> partitions;
  std::string retention_age;    // "7d"; empty: not given
  std::string retention_bytes;  // "10GiB"; empty: not given
};

VerbResult topics_publish(Session& session, const PublishOptions& options);
VerbResult topics_read(Session& session, const ReadOptions& options);
VerbResult topics_list(Session& session, std::size_t limit);
VerbResult topics_get(Session& session, const std::string& topic);
VerbResult topics_create(Session& session, const TopicOptions& options);
VerbResult topics_delete(Session& session, const std::string& topic);

}  // namespace dhub::cli
