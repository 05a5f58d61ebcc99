// SPDX-License-Identifier: Apache-2.0
#include "cli/documents.h"

#include <fmt/format.h>
#include <utility>

#include "base/utf8.h"
#include "cli/json_text.h"
#include "cli/yaml_reader.h"

namespace dhub::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kMostText = 8U << 20;

bool begins_like_json(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && (text[first] == '{' || text[first] == '[');
}

// What every YAML reader, of 1.1 and 1.2, takes for text without quotes.
bool is_plain_text(std::string_view text) {
  static constexpr std::string_view kWords[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (text.empty() || (!letter(text.front()) && text.front() != '/') || text.back() == ' ') return false;
  std::string lower;
  for (const char c : text) {
    if (!letter(c) && (c < '0' || c > '9') && std::string_view(" -./").find(c) == std::string_view::npos) return false;
    lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  for (const std::string_view word : kWords)
    if (lower == word) return false;
  return true;
}

bool is_block_text(std::string_view text) {
  if (text.find('\n') == std::string_view::npos || text.front() == '\n' || text.front() == ' ') return false;
  if (text.ends_with("\n\n") || text.front() == '\t') return false;
  for (std::string_view rest = text; !rest.empty();) {
    const CodePoint next = take_code_point(rest);
    // A next line of 1.1 (U+0085 is a control here) or a lone tab line would be read differently; quotes are exact.
    if (!next.valid || next.value == '\t' || (is_control(next.value) && next.value != '\n')) return false;
  }
  return true;
}

class YamlWriter {
 public:
  std::string write(const json::value& value) {
    if (!nests(value)) {
      scalar(value, 0);
      out_.erase(0, 1);
    } else {
      nested(value, 0);
    }
    return std::move(out_);
  }

 private:
  static bool nests(const json::value& value) {
    return (value.is_object() && !value.get_object().empty()) || (value.is_array() && !value.get_array().empty());
  }

  void indent(std::size_t depth) { out_.append(depth * 2, ' '); }

  static std::string text(std::string_view t) { return is_plain_text(t) ? std::string(t) : quote_json(t); }

  // After "key:" or "-": a blank, the value and the newline.
  void scalar(const json::value& value, std::size_t depth) {
    out_ += ' ';
    if (!value.is_string()) {
      out_ += to_compact_json(value) + '\n';
      return;
    }
    const std::string_view words(value.get_string().data(), value.get_string().size());
    if (is_block_text(words))
      block(words, depth);
    else
      out_ += text(words) + '\n';
  }

  void block(std::string_view words, std::size_t depth) {
    out_ += words.back() == '\n' ? "|\n" : "|-\n";
    if (words.back() == '\n') words.remove_suffix(1);
    while (true) {
      const auto end = words.find('\n');
      const std::string_view row = words.substr(0, end);
      if (!row.empty()) indent(depth + 1);
      out_.append(row).append(1, '\n');
      if (end == std::string_view::npos) return;
      words.remove_prefix(end + 1);
    }
  }

  // `first_indented`: the first line continues a "- ".
  void nested(const json::value& value, std::size_t depth, bool first_indented = false) {
    bool indented = first_indented;
    const auto start = [&] {
      if (!indented) indent(depth);
      indented = false;
    };
    if (value.is_object()) {
      for (const auto& [key, member] : value.get_object()) {
        start();
        write_key(text({key.data(), key.size()}), depth);
        after_key(member, depth);
      }
      return;
    }
    for (const json::value& item : value.get_array()) {
      start();
      out_ += '-';
      if (nests(item)) {
        out_ += ' ';
        nested(item, depth + 1, true);
      } else {
        scalar(item, depth);
      }
    }
  }

  // A key of more than 1,024 characters must be marked as one.
  void write_key(const std::string& key, std::size_t depth) {
    constexpr std::size_t kLongestBareKey = 1000;
    if (key.size() > kLongestBareKey) {
      out_ += "? " + key + '\n';
      indent(depth);
    } else {
      out_ += key;
    }
    out_ += ':';
  }

  void after_key(const json::value& member, std::size_t depth) {
    if (nests(member)) {
      out_ += '\n';
      nested(member, depth + 1);
    } else {
      scalar(member, depth);
    }
  }

  std::string out_;
};

}  // namespace

Result<std::vector<Document>> parse_documents(std::string_view text, const std::string& name) {
  if (text.size() > kMostText)
    return fail(ErrorCode::TooLarge, fmt::format("{} is larger than {} bytes", name, kMostText));
  // With NULs among them the YAML library would take the bytes for another encoding.
  if (!is_utf8(text) || text.find('\0') != std::string_view::npos)
    return fail(ErrorCode::Malformed, fmt::format("{} is not UTF-8 text", name));
  if (!begins_like_json(text)) return parse_yaml(text, name);
  auto value = parse_json(text);
  if (value) return std::vector<Document>{{std::move(*value), {}}};
  // `{a: b}` is YAML as well; when it is neither, it was more likely meant to be JSON.
  auto documents = parse_yaml(text, name);
  const bool twice = value.error().message.find("stands here twice") != std::string::npos;
  if (documents && !twice) return documents;
  return fail(value.error().code, name + ':' + value.error().message);
}

int line_of(const Document& document, std::string pointer) {
  while (true) {
    if (const auto found = document.lines.find(pointer); found != document.lines.end()) return found->second;
    if (pointer.empty()) return 0;
    pointer.erase(pointer.rfind('/') == std::string::npos ? 0 : pointer.rfind('/'));
  }
}

std::string to_yaml(const json::value& value) {
  return YamlWriter().write(value);
}

}  // namespace dhub::cli
