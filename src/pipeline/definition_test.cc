// SPDX-License-Identifier: Apache-2.0
#include "pipeline/definition.h"

#include <boost/json.hpp>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <iterator>
#include <map>

#include "pipeline/findings.h"
#include "pipeline/json.h"

namespace dhub::pipeline {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr const char* kStep = R"([{"name": "enrich", "script": "def handle(event): pass"}])";

Result<Definition> with_options(const std::string& options) {
  return parse_definition("order-processing", "Order Processing", kStep, options);
}
Result<Definition> with_steps(const std::string& steps) {
  return parse_definition("order-processing", "Order Processing", steps, R"({"event": "orders"})");
}
// One step that is good but for what `members` add.
Result<Definition> with_step(const std::string& members) {
  return with_steps(fmt::format(R"([{{"name": "enrich", "script": "pass", {}}}])", members));
}

// What was found: details by pointer.
template <typename T>
std::map<std::string, std::string> found(const Result<T>& result) {
  std::map<std::string, std::string> details;
  if (!result)
    for (const auto& field : result.error().fields) details[field.pointer] += field.detail;
  return details;
}

struct Case {
  std::string json;
  std::string pointer;
  std::string detail;
};

// Exactly this one thing is wrong.
void expect_found(const Result<Definition>& result, ErrorCode code, const Case& wrong) {
  SCOPED_TRACE(wrong.json);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, code);
  const auto details = found(result);
  ASSERT_EQ(details.size(), 1u) << details.begin()->first << " " << details.rbegin()->first;
  EXPECT_EQ(details.begin()->first, wrong.pointer);
  EXPECT_THAT(details.begin()->second, HasSubstr(wrong.detail));
  EXPECT_THAT(result.error().message, HasSubstr(wrong.pointer));
}

TEST(Definition, ANameATopicAndOneScriptSuffice) {
  const auto parsed = with_options(R"({"event": "orders-topic"})");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->id, "order-processing");
  EXPECT_EQ(parsed->name, "Order Processing");
  EXPECT_EQ(parsed->options.event, "orders-topic");
  ASSERT_EQ(parsed->steps.size(), 1u);
  EXPECT_EQ(parsed->steps[0].name, "enrich");
  EXPECT_EQ(parsed->steps[0].script, "def handle(event): pass");
  EXPECT_FALSE(parsed->steps[0].result_topic);
}

TEST(Definition, DefaultsAreThoseOfTheReference) {
  const auto parsed = with_options("{}");
  ASSERT_TRUE(parsed);
  const Options& options = parsed->options;
  EXPECT_FALSE(options.event);
  EXPECT_EQ(options.ordering, Ordering::Key);
  EXPECT_EQ(options.retry.max_attempts, 10);
  EXPECT_EQ(options.retry.backoff, Backoff::Exponential);
  EXPECT_EQ(options.retry.initial_delay, 1s);
  EXPECT_EQ(options.retry.max_delay, 2min);
  EXPECT_TRUE(options.retry.jitter);
  EXPECT_FALSE(options.retry.from_start);
  EXPECT_EQ(options.timeout, 60s);
  EXPECT_EQ(options.limits.memory_bytes, 512u << 20);
  EXPECT_EQ(options.limits.output_bytes, 64u << 10);
  EXPECT_FALSE(options.dead_letter_topic);
  EXPECT_EQ(options.scaling.min_instances, 0);
  EXPECT_EQ(options.scaling.max_instances, 0);
  EXPECT_EQ(options.scaling.concurrency, 1);
  EXPECT_EQ(options.scaling.target_delay, 1s);
  EXPECT_EQ(options.scaling.idle_timeout, 30s);
  EXPECT_TRUE(options.env.empty());
  EXPECT_EQ(options.interpreter, "");
}

TEST(Definition, EveryOptionThatIsServedIsTaken) {
  const auto parsed = with_options(R"({
    "event": "orders", "ordering": "partition", "timeout": "1m30s",
    "retry": {"max_attempts": 3, "backoff": "linear", "initial_delay": "200ms", "max_delay": "5s", "jitter": false,
              "from": "start"},
    "limits": {"memory": "256MiB", "output": "10kB"},
    "dead_letter": {"topic": "orders-dead"},
    "scaling": {"min_instances": 1, "max_instances": 8, "concurrency": 2, "target_delay": "50ms", "idle_timeout": "5s"},
    "env": {"REGION": "eu", "_X1": ""},
    "python": {"interpreter": "/opt/venv/bin/python"}})");
  ASSERT_TRUE(parsed) << parsed.error().message;
  const Options& options = parsed->options;
  EXPECT_EQ(options.ordering, Ordering::Partition);
  EXPECT_EQ(options.timeout, 90s);
  EXPECT_EQ(options.retry.max_attempts, 3);
  EXPECT_EQ(options.retry.backoff, Backoff::Linear);
  EXPECT_EQ(options.retry.initial_delay, 200ms);
  EXPECT_EQ(options.retry.max_delay, 5s);
  EXPECT_FALSE(options.retry.jitter);
  EXPECT_TRUE(options.retry.from_start);
  EXPECT_EQ(options.limits.memory_bytes, 256u << 20);
  EXPECT_EQ(options.limits.output_bytes, 10'000u);
  EXPECT_EQ(options.dead_letter_topic, "orders-dead");
  EXPECT_EQ(options.scaling.min_instances, 1);
  EXPECT_EQ(options.scaling.max_instances, 8);
  EXPECT_EQ(options.scaling.concurrency, 2);
  EXPECT_EQ(options.scaling.target_delay, 50ms);
  EXPECT_EQ(options.scaling.idle_timeout, 5s);
  EXPECT_EQ(options.env, (std::map<std::string, std::string>{{"REGION", "eu"}, {"_X1", ""}}));
  EXPECT_EQ(options.interpreter, "/opt/venv/bin/python");
}

TEST(Definition, TopicsMayNameTheirCluster) {
  const auto parsed = with_options(R"({"event": "main/orders", "dead_letter": {"topic": "main/orders-dead"}})");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->options.event, "main/orders");
  EXPECT_EQ(parsed->options.dead_letter_topic, "main/orders-dead");
}

TEST(Definition, ALongFirstDelayRaisesTheDefaultOfTheLongest) {
  const auto parsed = with_options(R"({"retry": {"initial_delay": "10m"}})");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->options.retry.max_delay, 10min);
}

TEST(Definition, RefusesOptionsThatAreNotValid) {
  const std::vector<Case> cases{
      {R"([])", "/options", "must be an object, not a list"},
      {R"({"evnet": "orders"})", "/options/evnet", "did you mean 'event'?"},
      {R"({"topic": "orders"})", "/options/topic", "known are: event, ordering"},
      {R"({"event": 7})", "/options/event", "must be a string, not a number"},
      {R"({"event": null})", "/options/event", "must be a string, not null"},
      {R"({"event": "my orders"})", "/options/event", "A topic name has"},
      {R"({"ordering": "keys"})", "/options/ordering", "did you mean 'key'?"},
      {R"({"retry": 3})", "/options/retry", "must be an object, not a number"},
      {R"({"retry": {"attempts": 3}})", "/options/retry/attempts", "known are: max_attempts"},
      {R"({"retry": {"max_atempts": 3}})", "/options/retry/max_atempts", "did you mean 'max_attempts'?"},
      {R"({"retry": {"max_attempts": 0}})", "/options/retry/max_attempts", "whole number from 1 to 1000"},
      {R"({"retry": {"max_attempts": 1001}})", "/options/retry/max_attempts", "whole number from 1 to 1000"},
      {R"({"retry": {"max_attempts": 1.5}})", "/options/retry/max_attempts", "whole number"},
      {R"({"retry": {"max_attempts": 18446744073709551615}})", "/options/retry/max_attempts", "whole number"},
      {R"({"retry": {"max_attempts": "3"}})", "/options/retry/max_attempts", "must be a number, not a string"},
      {R"({"retry": {"backoff": "exponental"}})", "/options/retry/backoff", "did you mean 'exponential'?"},
      {R"({"retry": {"initial_delay": 1}})", "/options/retry/initial_delay", "a duration such as"},
      {R"({"retry": {"initial_delay": "1"}})", "/options/retry/initial_delay", "is not a duration"},
      {R"({"retry": {"initial_delay": "2d"}})", "/options/retry/initial_delay", "from 0s to 1d"},
      {R"({"retry": {"initial_delay": "5s", "max_delay": "1s"}})", "/options/retry/max_delay", "which is 5s"},
      {R"({"retry": {"jitter": "on"}})", "/options/retry/jitter", "must be true or false"},
      {R"({"retry": {"from": "begin"}})", "/options/retry/from", "known are: start, failed_step"},
      {R"({"timeout": "0s"})", "/options/timeout", "from 10ms to 1d"},
      {R"({"timeout": 60})", "/options/timeout", "a duration such as"},
      {R"({"limits": {"memory": "1MiB"}})", "/options/limits/memory", "from 32MiB to 1024GiB"},
      {R"({"limits": {"memory": 536870912}})", "/options/limits/memory", "a size such as"},
      {R"({"limits": {"output": "64 KiB"}})", "/options/limits/output", "is not a size"},
      {R"({"dead_letter": {}})", "/options/dead_letter/topic", "is required"},
      {R"({"dead_letter": {"topic": ""}})", "/options/dead_letter/topic", "A topic name has"},
      {R"({"event": "a", "dead_letter": {"topic": "a"}})", "/options/dead_letter/topic", "listens on"},
      {R"({"scaling": {"max_instances": 0}})", "/options/scaling/max_instances", "from 1 to 1000"},
      {R"({"scaling": {"min_instances": 3, "max_instances": 2}})", "/options/scaling/min_instances", "which is 2"},
      {R"({"scaling": {"target_delay": "0s"}})", "/options/scaling/target_delay", "from 1ms to 1h"},
      {R"({"scaling": {"max": 3}})", "/options/scaling/max", "is no key of scaling"},
      {R"({"env": []})", "/options/env", "must be an object"},
      {R"({"env": {"A": 1}})", "/options/env/A", "must be a string, not a number"},
      {R"({"env": {"A": {"secert": "x"}}})", "/options/env/A", "must be a string, not an object"},
      {R"({"env": {"A": "x\u0000y"}})", "/options/env/A", "null character"},
      {R"({"env": {"A B": "x"}})", "/options/env/A B", "no name of a variable"},
      {R"({"env": {"": "x"}})", "/options/env/", "no name of a variable"},
      {R"({"env": {"A/B~": "x"}})", "/options/env/A~1B~0", "no name of a variable"},
      {R"({"env": {"LD_PRELOAD": "x"}})", "/options/env/LD_PRELOAD", "is reserved"},
      {R"({"env": {"LD_LIBRARY_PATH": "x"}})", "/options/env/LD_LIBRARY_PATH", "is reserved"},
      {R"({"env": {"PYTHONSTARTUP": "x"}})", "/options/env/PYTHONSTARTUP", "is reserved"},
      {R"({"env": {"PYTHONPATH": "x"}})", "/options/env/PYTHONPATH", "is reserved"},
      {R"({"env": {"PATH": "x"}})", "/options/env/PATH", "is reserved"},
      {R"({"env": {"DHUB_TOKEN": "x"}})", "/options/env/DHUB_TOKEN", "is reserved"},
      {R"({"python": {"interpreter": ""}})", "/options/python/interpreter", "must be a program name"},
      {R"({"python": {"interpreter": "./python"}})", "/options/python/interpreter", "absolute path"},
      {R"({"python": {"interpreter": "-c"}})", "/options/python/interpreter", "must be a program name"},
      {R"({"python": {"version": "3"}})", "/options/python/version", "is no key of python"},
      {"", "/options", "not JSON"},
      {"{", "/options", "not JSON"},
      {R"({"event": "orders"} junk)", "/options", "not JSON"},
      {"{\"event\": \"\xff\"}", "/options", "not JSON"},
      {R"({"retry": {"max_attempts": 1e999}})", "/options", "number that is too large"},
  };
  for (const auto& wrong : cases) expect_found(with_options(wrong.json), ErrorCode::InvalidArgument, wrong);
}

TEST(Definition, NamesOptionsThatAreNotServedYet) {
  const std::vector<Case> cases{
      {R"({"breaker": {"failures": 5}})", "/options/breaker", "not served yet"},
      {R"({"env": {"KEY": {"secret": "api-key"}}})", "/options/env/KEY", "secrets are not served yet"},
      {R"({"python": {"requirements": ["numpy"]}})", "/options/python/requirements", "not served yet"},
  };
  for (const auto& wrong : cases) expect_found(with_options(wrong.json), ErrorCode::Unsupported, wrong);
}

TEST(Definition, RefusesStepsThatAreNotValid) {
  const std::vector<Case> cases{
      {R"({})", "/steps", "must be a list, not an object"},
      {R"([7])", "/steps/0", "must be an object, not a number"},
      {R"([{"script": "pass"}])", "/steps/0/name", "is required"},
      {R"([{"name": "a"}])", "/steps/0/script", "is required"},
      {R"([{"name": "a", "script": " \n"}])", "/steps/0/script", "is empty"},
      {R"([{"name": "a", "script": 1}])", "/steps/0/script", "must be a string"},
      {R"([{"name": "", "script": "pass"}])", "/steps/0/name", "1 to 63"},
      {R"([{"name": "a b", "script": "pass"}])", "/steps/0/name", "1 to 63"},
      {R"([{"name": "-a", "script": "pass"}])", "/steps/0/name", "1 to 63"},
      {R"([{"name": "a", "script": "pass"}, {"name": "a", "script": "pass"}])", "/steps/1/name", "name of step 0"},
      {R"([{"name": "a", "scirpt": "x", "script": "pass"}])", "/steps/0/scirpt", "did you mean 'script'?"},
      {R"([{"name": "a", "script": "pass", "language": "pyhton"}])", "/steps/0/language", "did you mean 'python'?"},
      {R"([{"name": "a", "script": "pass", "inputs": []}])", "/steps/0/inputs", "must be an object"},
      {R"([{"name": "a", "script": "pass", "outputs": "t"}])", "/steps/0/outputs", "must be an object"},
      {R"([{"name": "a", "script": "pass", "outputs": {"result": "t"}}])", "/steps/0/outputs/result", "an object"},
      {R"([{"name": "a", "script": "pass", "outputs": {"result": {}}}])", "/steps/0/outputs/result/topic", "required"},
      {R"([{"name": "a", "script": "pass", "outputs": {"result": {"topic": "a b"}}}])", "/steps/0/outputs/result/topic",
       "A topic name has"},
      {R"([{"name": "a", "script": "pass", "outputs": {"result": {"topic": "t", "tpic": "u"}}}])",
       "/steps/0/outputs/result/tpic", "did you mean 'topic'?"},
  };
  for (const auto& wrong : cases) expect_found(with_steps(wrong.json), ErrorCode::InvalidArgument, wrong);
}

TEST(Definition, NamesPartsOfStepsThatAreNotServedYet) {
  const std::vector<Case> cases{
      {R"("language": "jq")", "/steps/0/language", "step 'enrich': jq steps are not served yet"},
      {R"("language": "http")", "/steps/0/language", "http steps"},
      {R"("language": "command")", "/steps/0/language", "command steps"},
      {R"("inputs": {"order": {"step": "x"}})", "/steps/0/inputs", "inputs are not served yet"},
      {R"("inputs": {"o": {"dataset": "d"}})", "/steps/0/inputs/o/dataset",
       "step 'enrich': datasets are not served yet"},
      {R"("outputs": {"result": {"dataset": "d"}})", "/steps/0/outputs/result/dataset", "datasets are not served yet"},
      {R"("dataset": "d")", "/steps/0/dataset", "datasets are not served yet"},
      {R"("outputs": {"errors": {"topic": "t"}})", "/steps/0/outputs/errors", "other than \"result\""},
      {R"("when": ".total > 5")", "/steps/0/when", "raise Skip"},
      {R"("timeout": "5s")", "/steps/0/timeout", "options.timeout"},
      {R"("retry": {})", "/steps/0/retry", "options.retry"},
  };
  for (const auto& wrong : cases) expect_found(with_step(wrong.json), ErrorCode::Unsupported, wrong);
}

TEST(Definition, AScriptOfALaterLanguageMayHaveAnyForm) {
  const auto parsed = with_steps(R"([{"name": "call", "language": "http", "script": {"url": "http://x"}}])");
  EXPECT_EQ(found(parsed).size(), 1u);
  EXPECT_EQ(parsed.error().code, ErrorCode::Unsupported);
}

TEST(Definition, TakesTheTopicOfAResult) {
  const auto parsed = with_step(R"("language": "python", "outputs": {"result": {"topic": "orders-enriched"}})");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->steps[0].result_topic, "orders-enriched");
}

TEST(Definition, NoStepsAreLegal) {
  const auto parsed = with_steps("[]");
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->steps.empty());
}

TEST(Definition, StepsAndScriptsAreBounded) {
  const auto steps = [](std::size_t count) {
    std::string text = "[";
    for (std::size_t i = 0; i < count; ++i)
      text += fmt::format(R"({}{{"name": "s{}", "script": "pass"}})", i > 0 ? "," : "", i);
    return text + "]";
  };
  EXPECT_TRUE(with_steps(steps(64)));
  EXPECT_EQ(found(with_steps(steps(65))).count("/steps"), 1u);

  const auto script = [](std::size_t bytes) {
    return fmt::format(R"([{{"name": "a", "script": "{}"}}])", std::string(bytes, '#'));
  };
  EXPECT_TRUE(with_steps(script(1 << 20)));
  EXPECT_EQ(found(with_steps(script((1 << 20) + 1))).count("/steps/0/script"), 1u);
}

TEST(Definition, CollectsEverythingThatIsWrong) {
  const auto parsed = parse_definition("Orders", " ", R"([{"name": "a", "when": "x"}, {"script": "pass"}])",
                                       R"({"evnet": "x", "retry": {"jitter": 1, "max_attempts": 0}})");
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, ErrorCode::InvalidArgument);  // one is only not served
  std::vector<std::string> pointers;
  for (const auto& field : parsed.error().fields) pointers.push_back(field.pointer);
  EXPECT_EQ(pointers,
            (std::vector<std::string>{"/id", "/name", "/options/evnet", "/options/retry/max_attempts",
                                      "/options/retry/jitter", "/steps/0/script", "/steps/0/when", "/steps/1/name"}));
  EXPECT_THAT(parsed.error().message, HasSubstr("7 more"));
}

TEST(Definition, ANameIsPlainBoundedText) {
  const auto named = [](const std::string& name) { return parse_definition("a", name, "[]", "{}"); };
  EXPECT_TRUE(named("Bestellungen f\xc3\xbcr alle"));
  for (const std::string& name : {std::string(), std::string("a\nb"), std::string("\xff"), std::string(257, 'a')})
    EXPECT_EQ(found(named(name)).count("/name"), 1u) << name;
}

TEST(Definition, HostileJsonIsRefusedWithoutHarm) {
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  EXPECT_THAT(found(with_steps(deep))["/steps"], HasSubstr("nested deeper"));
  EXPECT_THAT(found(with_options(R"({"env":)" + deep + "}"))["/options"], HasSubstr("nested deeper"));

  std::string wide = "{";
  for (int i = 0; i < 200'000; ++i) wide += fmt::format(R"("k{}": 1,)", i);
  wide.back() = '}';
  EXPECT_EQ(with_options(wide).error().fields.size(), Findings::kMostFindings);
  EXPECT_EQ(with_step(R"("outputs": )" + wide).error().fields.size(), Findings::kMostFindings);

  const auto long_key = with_options(R"({")" + std::string(100'000, 'x') + R"(": 1})");
  EXPECT_LT(long_key.error().fields[0].pointer.size(), 200u);
}

TEST(Definition, TheSampleIsValid) {
  std::ifstream file(DHUB_SOURCE_DIR "/samples/order-pipeline.json");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const auto sample = parse_json(text);
  ASSERT_TRUE(sample) << sample.error().message;
  const auto parsed =
      parse_definition(sample->at("id").as_string().c_str(), sample->at("name").as_string().c_str(),
                       boost::json::serialize(sample->at("steps")), boost::json::serialize(sample->at("options")));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->options.event, "orders-topic");
  EXPECT_EQ(parsed->options.retry.max_attempts, 3);
  ASSERT_EQ(parsed->steps.size(), 2u);
  EXPECT_EQ(parsed->steps[1].result_topic, "orders-enriched");
}

TEST(Definition, MetadataIsAnObjectOfTheUsersOwn) {
  EXPECT_TRUE(validate_metadata(R"({"team": "orders", "n": [1, null]})"));
  for (const char* text : {"", "[]", "7", "{"}) {
    const Status status = validate_metadata(text);
    ASSERT_FALSE(status) << text;
    EXPECT_EQ(status.error().fields[0].pointer, "/metadata");
  }
  EXPECT_FALSE(validate_metadata(R"({"a": ")" + std::string(kLongestMetadata, 'x') + R"("})"));
}

}  // namespace
}  // namespace dhub::pipeline
