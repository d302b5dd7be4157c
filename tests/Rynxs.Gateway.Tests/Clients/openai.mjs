// The unmodified openai client against the gateway. Arguments: base URL. Prints one JSON line for each check.
import OpenAI from 'openai';

const client = new OpenAI({ baseURL: process.argv[2], apiKey: 'unused', maxRetries: 0 });
const say = (check, value) => console.log(JSON.stringify({ check, value }));
const tools = [{ type: 'function', function: { name: 'add', description: 'adds', parameters: { type: 'object', properties: { a: { type: 'number' } } } } }];

say('models', (await client.models.list()).data.map(model => model.id));
const whole = await client.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'hi' }] });
say('chat', [whole.choices[0].message.content, whole.usage.total_tokens]);
let text = '', usage = null;
for await (const chunk of await client.chat.completions.create({ model: 'm', stream: true, stream_options: { include_usage: true }, messages: [{ role: 'user', content: 'hi' }] })) {
  text += chunk.choices[0]?.delta?.content ?? '';
  usage = chunk.usage ?? usage;
}
say('chat-stream', [text, usage.total_tokens]);
const called = client.chat.completions.stream({ model: 'm', messages: [{ role: 'user', content: 'use a tool' }], tools });
const final = await called.finalChatCompletion();
say('chat-tools', [final.choices[0].finish_reason, final.choices[0].message.tool_calls[0].function.name, final.choices[0].message.tool_calls[0].function.arguments]);
const response = await client.responses.create({ model: 'm', input: 'hi' });
say('responses', [response.output_text, response.usage.total_tokens]);
let streamed = '', done = null;
for await (const event of await client.responses.create({ model: 'm', input: 'hi', stream: true })) {
  if (event.type === 'response.output_text.delta') streamed += event.delta;
  if (event.type === 'response.completed') done = event.response;
}
say('responses-stream', [streamed, done.output[0].content[0].text, done.usage.total_tokens]);
if (process.argv[3] !== 'no-embeddings') {
  const embedded = await client.embeddings.create({ model: 'm', input: 'hi', encoding_format: 'float' });
  say('embeddings', embedded.data[0].embedding);
}
try {
  await client.chat.completions.create({ model: 'other', messages: [{ role: 'user', content: 'hi' }] });
} catch (error) {
  say('refused', [error.constructor.name, error.status, error.code]);
}
