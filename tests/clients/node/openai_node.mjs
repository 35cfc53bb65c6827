// openai-node: each helper of the package at its job.
import OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { BOTH, baseURL, City, PARIS, Pick, say, weather } from "./asked.mjs";

const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
const exact = { model: "demo", temperature: 0 };
const hello = [{ role: "user", content: "Hello!" }];
const user = (content) => [{ role: "user", content }];

const whole = await client.chat.completions.create({ ...exact, messages: hello });
const stream = client.chat.completions.stream({
  ...exact, messages: hello, stream_options: { include_usage: true },
});
let deltas = "";
stream.on("content", (delta) => { deltas += delta; });
const streamed = await stream.finalChatCompletion();

const parsed = await client.chat.completions.parse({
  ...exact, messages: hello, response_format: zodResponseFormat(Pick, "pick"),
});
const called = await client.chat.completions.parse({
  ...exact, messages: user(BOTH),
  tools: [zodFunction({ name: "get_weather", parameters: City,
                        description: "Get the weather of a city." })],
});
const forced = await client.chat.completions.create({
  ...exact, messages: hello, parallel_tool_calls: false,
  tools: [zodFunction({ name: "get_weather", parameters: City })],
  tool_choice: { type: "function", function: { name: "get_weather" } },
});

async function loop(stream) {
  const runner = client.chat.completions.runTools({
    ...exact, stream, messages: user(PARIS),
    tools: [zodFunction({ name: "get_weather", parameters: City, function: weather,
                          description: "Get the weather of a city." })],
  });
  return { said: await runner.finalContent(),
           roles: runner.messages.map((m) => m.role) };
}

const response = await client.responses.parse({
  ...exact, input: "Hello!", text: { format: zodTextFormat(Pick, "pick") },
});
const events = [];
for await (const event of client.responses.stream({ ...exact, input: "Hello!" }))
  events.push(event.type);
const embeddings = await client.embeddings.create({ model: "demo", input: ["red", "blue"] });
const refused = await client.chat.completions
  .create({ ...exact, messages: hello, top_p: 7 })
  .catch((e) => ({ name: e.constructor.name, status: e.status, param: e.param,
                   request: e.requestID }));

say({
  whole: whole.choices[0].message.content,
  streamed: streamed.choices[0].message.content, deltas,
  usage: [whole.usage.total_tokens, streamed.usage.total_tokens],
  parsed: parsed.choices[0].message.parsed,
  called: called.choices[0].message.tool_calls.map((c) => c.function.parsed_arguments),
  forced: forced.choices[0].message.tool_calls.map((c) => Object.keys(JSON.parse(c.function.arguments))),
  loops: [await loop(false), await loop(true)],
  response: response.output_parsed,
  events,
  embeddings: embeddings.data.map((e) => e.embedding.length),
  models: (await client.models.list()).data.map((m) => m.id),
  refused,
});
