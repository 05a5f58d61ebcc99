// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/json.h"
#include "api/request.h"
#include "api/response.h"
#include "base/result.h"

namespace dhub::api {

// The media type in lower case without parameters; empty when none is named.
[[nodiscard]] Result<std::string> media_type(const Request& request);

// 415 when the body is not what `allowed` says (or compressed, or not in UTF-8); nothing when it is.
[[nodiscard]] std::optional<Response> check_media_type(const Request& request, std::string_view allowed);

// The JSON object that a control body is: 415, 400 (broken, duplicate keys), or 422 (not an object). `reader` keeps the
// text that the result's `raw` points into.
[[nodiscard]] tl::expected<Json, Response> read_object(const Request& request, JsonReader& reader);

// For calls that take no body: an empty one or `{}` is fine.
[[nodiscard]] std::optional<Response> check_no_body(const Request& request);

// Reads the members of one object and collects all that is wrong, each with its pointer. What cannot be read is
// answered as if absent.
class ObjectReader {
 public:
  // Reports the members that are not `known`.
  ObjectReader(const Json& object, std::string pointer, std::span<const std::string_view> known,
               std::vector<FieldError>& errors);

  // The member, when it is there and of that kind.
  [[nodiscard]] const Json* get(std::string_view name, Json::Kind kind);
  [[nodiscard]] std::optional<std::string> text(std::string_view name);
  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view name);
  [[nodiscard]] bool has(std::string_view name) const { return object_.find(name) != nullptr; }
  // For what must not be changed: reported when it is there and not `current`.
  void unchanged(std::string_view name, const std::optional<std::string>& current);
  void wrong(std::string_view name, std::string detail);

 private:
  const Json& object_;
  const std::string pointer_;
  std::vector<FieldError>& errors_;
};

// One error of all that was collected.
[[nodiscard]] Error invalid_body(std::vector<FieldError> errors);

}  // namespace dhub::api
