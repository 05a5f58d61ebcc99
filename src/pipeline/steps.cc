// SPDX-License-Identifier: Apache-2.0
#include "pipeline/steps.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <fmt/format.h>
#include <map>
#include <utility>

#include "base/suggest.h"
#include "pipeline/object_reader.h"

namespace dhub::pipeline {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 4> kLanguages{"python", "jq", "http", "command"};

bool is_step_name(std::string_view name) {
  const auto word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  bool good = !name.empty() && name.size() <= 63 && word(name.front());
  for (const char c : name) good = good && (word(c) || c == '-');
  return good;
}

// How the user finds the step: by its name when it has a good one.
std::string title_of(const Step& step, std::size_t index) {
  return step.name.empty() ? fmt::format("step {}", index) : fmt::format("step '{}'", step.name);
}

void read_name(const ObjectReader& step, Findings& findings, Step& out) {
  std::string name;
  if (step.find("name") == nullptr) findings.invalid(step.pointer("name"), "is required");
  if (!step.text("name", name)) return;
  if (is_step_name(name))
    out.name = std::move(name);
  else
    findings.invalid(step.pointer("name"), "must have 1 to 63 letters, digits, '_' and '-', and not begin with '-'");
}

// Is it a Python step, as far as one can tell?
bool read_language(const ObjectReader& step, const std::string& title, Findings& findings) {
  std::string language = "python";
  step.text("language", language);
  if (language == "python") return true;
  if (std::find(kLanguages.begin(), kLanguages.end(), language) == kLanguages.end()) {
    findings.invalid(step.pointer("language"), fmt::format("is unknown; {}", did_you_mean(language, kLanguages)));
    return true;
  }
  findings.not_served(step.pointer("language"),
                      fmt::format("{}: {} steps are not served yet; write it in python", title, language));
  return false;
}

void read_script(const ObjectReader& step, Findings& findings, Step& out) {
  if (step.find("script") == nullptr)
    findings.invalid(step.pointer("script"), "is required: Python that defines handle(event, context)");
  if (!step.text("script", out.script)) return;
  if (out.script.find_first_not_of(" \t\r\n") == std::string::npos)
    findings.invalid(step.pointer("script"), "is empty; write Python that defines handle(event, context)");
  else if (out.script.size() > kLongestScript)
    findings.invalid(step.pointer("script"), fmt::format("must not be longer than {}", size_to_string(kLongestScript)));
}

bool note_dataset(const json::value& value, const std::string& pointer, const std::string& title, Findings& findings) {
  const auto* object = value.if_object();
  if (object == nullptr || !object->contains("dataset")) return false;
  findings.not_served(pointer_to(pointer, "dataset"),
                      fmt::format("{}: datasets are not served yet; use a topic", title));
  return true;
}

// No input is served, but one from a dataset is told apart.
void read_inputs(const ObjectReader& step, const std::string& title, Findings& findings) {
  const auto* inputs = step.find("inputs");
  if (inputs == nullptr) return;
  const std::string pointer = step.pointer("inputs");
  const auto* object = inputs->if_object();
  if (object == nullptr) return findings.invalid(pointer, fmt::format("must be an object, not {}", kind_of(*inputs)));
  bool any_dataset = false;
  for (const auto& input : *object) {
    if (findings.full()) return;
    any_dataset |= note_dataset(input.value(), pointer_to(pointer, input.key()), title, findings);
  }
  if (!any_dataset)
    findings.not_served(
        pointer, fmt::format("{}: inputs are not served yet; each step gets the result of the one before it", title));
}

void read_outputs(const ObjectReader& step, const std::string& title, Findings& findings, Step& out) {
  const auto* outputs = step.find("outputs");
  if (outputs == nullptr) return;
  const std::string pointer = step.pointer("outputs");
  const auto* object = outputs->if_object();
  if (object == nullptr) return findings.invalid(pointer, fmt::format("must be an object, not {}", kind_of(*outputs)));
  for (const auto& output : *object) {
    if (findings.full()) return;
    const std::string where = pointer_to(pointer, output.key());
    if (note_dataset(output.value(), where, title, findings)) continue;
    if (output.key() != "result") {
      findings.not_served(where, fmt::format("{}: outputs other than \"result\" are not served yet", title));
      continue;
    }
    const auto result = ObjectReader::of(output.value(), where, findings);
    if (!result) continue;
    result->only("key of an output", {"topic"});
    if (result->find("topic") == nullptr) findings.invalid(result->pointer("topic"), "is required");
    result->topic("topic", out.result_topic);
  }
}

void note_not_served(const ObjectReader& step, const std::string& title, Findings& findings) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kLater{{
      {"when", "conditions are not served yet; raise Skip in the script"},
      {"timeout", "a timeout of one step is not served yet; set options.timeout for the pipeline"},
      {"retry", "a retry of one step is not served yet; set options.retry for the pipeline"},
  }};
  for (const auto& [key, why] : kLater)
    if (step.find(key) != nullptr) findings.not_served(step.pointer(key), fmt::format("{}: {}", title, why));
}

Step read_step(const json::value& value, std::size_t index, Findings& findings) {
  Step out;
  const std::string pointer = pointer_to("/steps", index);
  const auto step = ObjectReader::of(value, pointer, findings);
  if (!step) return out;
  read_name(*step, findings, out);
  const std::string title = title_of(out, index);
  if (note_dataset(value, pointer, title, findings)) return out;
  step->only("key of a step", {"name", "script", "language", "inputs", "outputs", "timeout", "retry", "when"});
  if (read_language(*step, title, findings)) read_script(*step, findings, out);
  read_inputs(*step, title, findings);
  read_outputs(*step, title, findings, out);
  note_not_served(*step, title, findings);
  return out;
}

}  // namespace

std::vector<Step> read_steps(const json::value& steps, Findings& findings) {
  std::vector<Step> out;
  const auto* list = steps.if_array();
  if (list == nullptr) {
    findings.invalid("/steps", fmt::format("must be a list, not {}", kind_of(steps)));
    return out;
  }
  if (list->size() > kMostSteps) {
    findings.invalid("/steps", fmt::format("must not hold more than {} steps", kMostSteps));
    return out;
  }
  std::map<std::string, std::size_t> first_of;
  for (std::size_t i = 0; i < list->size(); ++i) {
    Step step = read_step((*list)[i], i, findings);
    const auto [entry, is_new] = first_of.try_emplace(step.name, i);
    if (!is_new && !step.name.empty())
      findings.invalid(pointer_to("/steps", i) + "/name",
                       fmt::format("'{}' is already the name of step {}", step.name, entry->second));
    out.push_back(std::move(step));
  }
  return out;
}

}  // namespace dhub::pipeline
