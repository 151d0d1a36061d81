// The calls of one client, plain or streamed, to a base URL: node calls.mjs CLIENT plain|streamed BASE_URL KEY
// Prints what the client hands to its caller, as JSON lines.
import OpenAI from "openai";
import { OpenRouter } from "@openrouter/sdk";
import { createOpenRouter } from "@openrouter/ai-sdk-provider";
import { generateText, streamText } from "ai";

const [client, mode, baseURL, apiKey] = process.argv.slice(2);
const model = "openai/gpt-4o";
const messages = [{ role: "user", content: "hello there" }];
const print = (value) => console.log(JSON.stringify(value));

const clients = {
  async openai() {
    const made = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
    if (mode === "plain") return print(await made.chat.completions.create({ model, messages }));
    for await (const chunk of await made.chat.completions.create({ model, messages, stream: true })) print(chunk);
  },
  async openrouter() {
    const made = new OpenRouter({ apiKey, serverURL: baseURL });
    const answer = await made.chat.send({ chatRequest: { model, messages, stream: mode === "streamed" } });
    if (mode === "plain") return print(answer);
    for await (const chunk of answer) print(chunk);
  },
  async ai() {
    const provider = createOpenRouter({ apiKey, baseURL });
    if (mode === "plain") {
      const { text, usage } = await generateText({ model: provider(model), messages, maxRetries: 0 });
      return print({ text, usage });
    }
    const { textStream, usage } = streamText({ model: provider(model), messages, maxRetries: 0 });
    for await (const text of textStream) print({ text });
    print({ usage: await usage });
  },
};

await clients[client]();
