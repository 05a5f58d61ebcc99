// SPDX-License-Identifier: Apache-2.0
#include "cli/yaml_reader.h"

#include <boost/json/parse.hpp>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <fmt/format.h>
#include <optional>
#include <sstream>
#include <utility>
#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "cli/json_text.h"

namespace dhub::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kMostExpanded = 16U << 20;
constexpr std::size_t kMostValues = 100'000;
constexpr std::size_t kMostDepth = 64;

// A plain scalar as JSON would read it; none when it is text.
std::optional<json::value> plain_value(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return json::value(nullptr);
  if (text == "true" || text == "True" || text == "TRUE") return json::value(true);
  if (text == "false" || text == "False" || text == "FALSE") return json::value(false);
  if (text.front() != '-' && (text.front() < '0' || text.front() > '9')) return std::nullopt;
  json::error_code ec;
  json::value number = json::parse(text, ec);
  if (ec || !number.is_number()) return std::nullopt;
  if (!number.is_double()) return number;
  // The library's own is off by a little when there are many digits.
  double nearest = number.get_double();
  std::from_chars(text.data(), text.data() + text.size(), nearest);
  if (!std::isfinite(nearest)) return std::nullopt;
  return json::value(nearest);
}

// What a value costs when it is copied.
struct Size {
  std::size_t values = 0;
  std::size_t bytes = 0;
};

// Builds the JSON of one document from the parser's events. Not the library's own tree: that one shares what aliases
// name, so that a small text becomes an endless one only when it is copied out. The first error is kept, what follows
// it is ignored; the parser reads on to the end of the text.
class DocumentBuilder : public YAML::EventHandler {
 public:
  explicit DocumentBuilder(const std::string& name) : name_(name) {}

  std::optional<Error> error;

  // The finished document; none when it was empty.
  std::optional<Document> take() {
    if (root_.is_null()) return std::nullopt;
    return Document{std::exchange(root_, nullptr), std::exchange(lines_, {})};
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    // A bracket or comma that opens nothing is not consumed by the parser: it would see the same document for ever.
    if (mark.pos == started_at_) refuse(mark, "this does not belong here");
    started_at_ = mark.pos;
    open_.clear();
    anchors_.clear();
    lines_.clear();
    root_ = nullptr;
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (error) return;
    if (expects_key()) return refuse(mark, "a key must be a word; write a null in quotes if it is meant as one");
    add(mark, nullptr, {1, 0}, anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (error) return;
    if (expects_key()) return refuse(mark, "a key must be a plain word or a string");
    const auto named = anchors_.find(anchor);
    if (named == anchors_.end()) return refuse(mark, "an alias cannot stand inside of what it names");
    if (charge(mark, named->second.size)) add(mark, named->second.value, {}, YAML::NullAnchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    if (error) return;
    const bool quoted = tag == "!" || tag == "tag:yaml.org,2002:str";
    if (!quoted && tag != "?" && !tag.empty()) return refuse_tag(mark, tag);
    if (expects_key()) return take_key(mark, text, quoted);
    auto plain = quoted ? std::nullopt : plain_value(text);
    add(mark, plain ? std::move(*plain) : json::value(text), {1, text.size()}, anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, json::array());
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, json::object());
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  // A list or mapping that is not finished.
  struct Frame {
    json::value value;
    std::string pointer;
    YAML::anchor_t anchor = YAML::NullAnchor;
    YAML::Mark mark;
    Size before;  // what was counted when it began
    std::optional<std::string> key;
  };
  struct Anchored {
    json::value value;
    Size size;
  };

  void refuse(const YAML::Mark& mark, const std::string& what) {
    if (error) return;
    error = Error{ErrorCode::Malformed, fmt::format("{}:{}:{}: {}", name_, mark.line + 1, mark.column + 1, what), {}};
  }
  void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    refuse(mark, fmt::format("the tag {} is not supported; only !!str is", tag));
  }

  bool charge(const YAML::Mark& mark, Size size) {
    counted_.values += size.values;
    counted_.bytes += size.bytes;
    if (counted_.values <= kMostValues && counted_.bytes <= kMostExpanded) return true;
    refuse(mark, fmt::format("with its aliases expanded this is more than {} values or {} bytes", kMostValues,
                             kMostExpanded));
    return false;
  }

  [[nodiscard]] bool expects_key() const {
    return !open_.empty() && open_.back().value.is_object() && !open_.back().key;
  }

  void take_key(const YAML::Mark& mark, const std::string& key, bool quoted) {
    Frame& map = open_.back();
    if (key == "<<" && !quoted) return refuse(mark, "merge keys (<<) are not supported; write the fields out");
    if (map.value.get_object().contains(key)) return refuse(mark, fmt::format("the key '{}' stands here twice", key));
    map.key = key;
    // The key's line, not its value's: it is what an editor should jump to.
    lines_.emplace(map.pointer + '/' + pointer_token(key), mark.line + 1);
    charge(mark, {0, key.size()});
  }

  // Where the next value of the innermost frame goes.
  [[nodiscard]] std::string next_pointer() const {
    if (open_.empty()) return {};
    const Frame& frame = open_.back();
    return frame.pointer + '/' +
           (frame.key ? pointer_token(*frame.key) : std::to_string(frame.value.get_array().size()));
  }

  void add(const YAML::Mark& mark, json::value value, Size size, YAML::anchor_t anchor) {
    if (!charge(mark, size)) return;
    lines_.emplace(next_pointer(), mark.line + 1);
    remember(mark, anchor, value, size);
    put(std::move(value));
  }

  void remember(const YAML::Mark& mark, YAML::anchor_t anchor, const json::value& value, Size size) {
    if (anchor != YAML::NullAnchor && charge(mark, size)) anchors_[anchor] = {value, size};
  }

  void put(json::value value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return;
    }
    Frame& frame = open_.back();
    if (frame.key)
      frame.value.get_object()[*std::exchange(frame.key, std::nullopt)] = std::move(value);
    else
      frame.value.get_array().push_back(std::move(value));
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, json::value value) {
    if (error) return;
    if (!tag.empty() && tag != "?" && tag != "!") return refuse_tag(mark, tag);
    if (expects_key()) return refuse(mark, "a key must be a plain word or a string");
    if (open_.size() > kMostDepth)
      return refuse(mark, fmt::format("this is nested more than {} levels deep", kMostDepth));
    if (!charge(mark, {1, 0})) return;
    const std::string pointer = next_pointer();
    lines_.emplace(pointer, mark.line + 1);
    open_.push_back({std::move(value), pointer, anchor, mark, {counted_.values - 1, counted_.bytes}, {}});
  }

  void close() {
    if (error) return;
    Frame done = std::move(open_.back());
    open_.pop_back();
    const Size size{counted_.values - done.before.values, counted_.bytes - done.before.bytes};
    remember(done.mark, done.anchor, done.value, size);
    put(std::move(done.value));
  }

  const std::string& name_;
  int started_at_ = -1;  // position in the text of the last document's start
  std::vector<Frame> open_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  json::value root_;
  std::map<std::string, int> lines_;
  Size counted_;
};

}  // namespace

Result<std::vector<Document>> parse_yaml(std::string_view text, const std::string& name) {
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    DocumentBuilder builder(name);
    std::vector<Document> documents;
    while (parser.HandleNextDocument(builder)) {
      if (builder.error) return fail(std::move(*builder.error));
      if (auto document = builder.take()) documents.push_back(std::move(*document));
    }
    return documents;
  } catch (const YAML::Exception& e) {
    const bool deep = dynamic_cast<const YAML::DeepRecursion*>(&e) != nullptr;  // its own text is "bad file"
    const std::string what = deep ? "this is nested too deeply" : e.msg;
    return fail(ErrorCode::Malformed, fmt::format("{}:{}:{}: {}", name, e.mark.line + 1, e.mark.column + 1, what));
  }
}

}  // namespace dhub::cli
