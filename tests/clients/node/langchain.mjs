// @langchain/openai: invoke, stream, bound tools, structured output.
import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { BOTH, baseURL, City, Pick, say, weather } from "./asked.mjs";

const model = new ChatOpenAI({
  model: "demo", temperature: 0, apiKey: "none", maxRetries: 0,
  configuration: { baseURL },
});
const get_weather = tool(async (input) => JSON.stringify(weather(input)), {
  name: "get_weather", description: "Get the weather of a city.", schema: City,
});

const whole = await model.invoke("Hello!");
let deltas = "";
for await (const chunk of await model.stream("Hello!")) deltas += chunk.content;

const bound = model.bindTools([get_weather]);
const messages = [{ role: "user", content: BOTH }];
const first = await bound.invoke(messages);
messages.push(first);
for (const call of first.tool_calls) messages.push(await get_weather.invoke(call));
const last = await bound.invoke(messages);
const forced = await model
  .bindTools([get_weather], { tool_choice: "any", parallel_tool_calls: false })
  .invoke("Hello!");

const picks = {};
for (const method of ["jsonSchema", "functionCalling"])
  picks[method] = await model.withStructuredOutput(Pick, { name: "pick", method }).invoke("Hello!");

say({
  whole: whole.content, deltas, tokens: whole.usage_metadata.total_tokens,
  input: first.tool_calls.map((c) => c.args), last: last.content,
  forced: forced.tool_calls.map((c) => Object.keys(c.args)), picks,
});
