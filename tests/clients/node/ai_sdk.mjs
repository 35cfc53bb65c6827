// The AI SDK over @ai-sdk/openai-compatible.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import { BOTH, baseURL, City, PARIS, Pick, say, weather } from "./asked.mjs";

const provider = createOpenAICompatible({
  name: "lfmd", baseURL, apiKey: "none", includeUsage: true,
  supportsStructuredOutputs: true,
});
const model = provider.chatModel("demo");
const exact = { model, temperature: 0, maxRetries: 0 };
const tools = { get_weather: tool({
  description: "Get the weather of a city.", inputSchema: City,
  execute: async (input) => weather(input),
}) };
const stopWhen = stepCountIs(3);

const whole = await generateText({ ...exact, prompt: "Hello!" });
const stream = streamText({ ...exact, prompt: "Hello!" });
let deltas = "";
for await (const delta of stream.textStream) deltas += delta;

const loop = await generateText({ ...exact, prompt: PARIS, tools, stopWhen });
const run = streamText({ ...exact, prompt: BOTH, tools, stopWhen });
const parts = [];
for await (const part of run.fullStream) parts.push(part.type);

const choices = {};
for (const [name, toolChoice] of Object.entries({
  none: "none", required: "required",
  named: { type: "tool", toolName: "get_weather" } })) {
  const r = await generateText({ ...exact, prompt: "Hello!", tools, toolChoice });
  choices[name] = r.toolCalls.map((c) => Object.keys(c.input));
}

const object = await generateObject({ ...exact, schema: Pick, prompt: "Hello!" });
const growing = streamObject({ ...exact, schema: Pick, prompt: "Hello!" });
const partial = [];
for await (const p of growing.partialObjectStream) partial.push(p);

const thought = await generateText({
  ...exact, system: "Think first.", prompt: "What is 25 + 17?" });
const embedded = await embedMany({
  model: provider.textEmbeddingModel("demo"), values: ["red", "blue"], maxRetries: 0 });
const refused = await generateText({ ...exact, prompt: "Hello!", topP: 7 })
  .catch((e) => ({ status: e.statusCode, message: e.message }));

say({
  whole: whole.text, finish: whole.finishReason, deltas,
  usage: [whole.usage.totalTokens, (await stream.usage).totalTokens],
  loop: { said: loop.text, steps: loop.steps.length,
          input: loop.steps[0].toolCalls.map((c) => c.input) },
  run: { said: await run.text, parts,
         input: (await run.steps)[0].toolCalls.map((c) => c.input) },
  choices, object: object.object, streamed: await growing.object,
  partial: partial.length,
  thought: { reasoning: thought.reasoningText, said: thought.text },
  embeddings: embedded.embeddings.map((e) => e.length), refused,
});
