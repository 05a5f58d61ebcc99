// SPDX-License-Identifier: Apache-2.0
#include "api/docs_page.h"

#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/check.h"

namespace dhub::api {
namespace {

namespace json = boost::json;

constexpr std::string_view kStyle = R"(
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 14px/1.4 ui-monospace, monospace; }
pre { background: #8881; padding: .5rem .8rem; overflow-x: auto; }
summary { cursor: pointer; padding: .3rem 0; }
details { border-top: 1px solid #8884; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; }
:root { color-scheme: light dark; }
)";

std::string_view view(const json::value& value) {
  const auto& text = value.as_string();
  return {text.data(), text.size()};
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

// Paragraphs and `code`, which is all that the descriptions use.
std::string prose(std::string_view text) {
  std::string out;
  bool code = false;
  for (const char c : escaped(text)) {
    if (c == '`')
      out += std::exchange(code, !code) ? "</code>" : "<code>";
    else if (c == '\n' && out.ends_with('\n'))
      out += "<p>";
    else
      out += c;
  }
  return out;
}

void print(const json::value& value, std::size_t indent, std::string& out) {
  const bool object = value.is_object();
  const std::size_t size = object ? value.as_object().size() : value.is_array() ? value.as_array().size() : 0;
  if (size == 0) {
    out += json::serialize(value);
    return;
  }
  const std::string line = "\n" + std::string(indent + 2, ' ');
  out += object ? '{' : '[';
  for (std::size_t i = 0; i < size; ++i) {
    out += i == 0 ? line : "," + line;
    if (object) out += json::serialize(json::string((value.as_object().begin() + i)->key())) + ": ";
    print(object ? (value.as_object().begin() + i)->value() : value.as_array()[i], indent + 2, out);
  }
  out += "\n" + std::string(indent, ' ') + (object ? '}' : ']');
}

class Page {
 public:
  explicit Page(const json::value& document) : document_(document) {}

  std::string write() {
    const auto& info = document_.at("info");
    out_ = fmt::format(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" "
        "content=\"width=device-width\"><title>{0}</title><style>{1}</style><h1>{0} {2}</h1><p>{3}<p>For programs: <a "
        "href=\"/openapi.json\">/openapi.json</a>\n",
        escaped(view(info.at("title"))), kStyle, escaped(view(info.at("version"))),
        prose(view(info.at("description"))));
    for (const auto& tag : document_.at("tags").as_array()) write_tag(tag);
    return std::move(out_);
  }

 private:
  [[nodiscard]] const json::value& followed(const json::value& value) const {
    const auto* reference = value.as_object().if_contains("$ref");
    if (reference == nullptr) return value;
    json::error_code error;
    const json::value* found = document_.find_pointer(view(*reference).substr(1), error);
    CHECK(found != nullptr);
    return *found;
  }

  void write_tag(const json::value& tag) {
    out_ += fmt::format("<h2>{}</h2><p>{}\n", escaped(view(tag.at("name"))), prose(view(tag.at("description"))));
    for (const auto& [path, methods] : document_.at("paths").as_object())
      for (const auto& [method, operation] : methods.as_object())
        if (operation.at("tags").at(0) == tag.at("name")) write_operation(method, path, operation.as_object());
  }

  void write_operation(std::string_view method, std::string_view path, const json::object& operation) {
    std::string upper(method);
    for (char& c : upper) c = static_cast<char>(c - 'a' + 'A');
    out_ +=
        fmt::format("<details id=\"{}\"><summary><code>{} {}</code> {}</summary>\n", view(operation.at("operationId")),
                    upper, escaped(path), escaped(view(operation.at("summary"))));
    if (const auto* text = operation.if_contains("description")) out_ += fmt::format("<p>{}\n", prose(view(*text)));
    if (const auto* role = operation.if_contains("x-role"))
      out_ += fmt::format("<p>Needs a token with the role <code>{}</code>.\n", escaped(view(*role)));
    if (const auto* all = operation.if_contains("parameters")) write_parameters(all->as_array());
    if (const auto* body = operation.if_contains("requestBody")) write_content("Body", followed(*body));
    for (const auto& [status, response] : operation.at("responses").as_object())
      write_response(status, followed(response));
    out_ += "</details>\n";
  }

  void write_parameters(const json::array& all) {
    out_ += "<table><tr><th>parameter<th>in<th>meaning\n";
    for (const auto& one : all) {
      const auto& parameter = followed(one);
      out_ += fmt::format("<tr><td><code>{}</code><td>{}<td>{}\n", escaped(view(parameter.at("name"))),
                          escaped(view(parameter.at("in"))), prose(view(parameter.at("description"))));
    }
    out_ += "</table>\n";
  }

  // What all refusals look like is said once, at the top and in the document.
  void write_response(std::string_view status, const json::value& response) {
    const std::string title = fmt::format("<code>{}</code> {}", status, prose(view(response.at("description"))));
    if (status.front() == '2')
      write_content(title, response);
    else
      out_ += fmt::format("<p>{}\n", title);
  }

  void write_content(std::string_view title, const json::value& owner) {
    for (const auto& [type, content] : owner.at("content").as_object()) {
      const auto& example = content.at("example");
      std::string text;
      if (example.is_string())
        text = view(example);
      else
        print(example, 0, text);
      out_ +=
          fmt::format("<p>{} <small>{}</small><pre>{}</pre>\n", title, escaped(std::string_view(type)), escaped(text));
    }
  }

  const json::value& document_;
  std::string out_;
};

}  // namespace

std::string docs_page(const std::string& openapi) {
  json::error_code error;
  const json::value document = json::parse(openapi, error);
  CHECK(!error);
  return Page(document).write();
}

}  // namespace dhub::api
