// The unmodified @anthropic-ai/sdk against the gateway. Arguments: base URL. Prints one JSON line for each check.
import Anthropic from '@anthropic-ai/sdk';

const client = new Anthropic({ baseURL: process.argv[2], apiKey: 'unused', maxRetries: 0 });
const say = (check, value) => console.log(JSON.stringify({ check, value }));
const tools = [{ name: 'add', description: 'adds', input_schema: { type: 'object', properties: { a: { type: 'number' } } } }];
const ask = (content, more = {}) => ({ model: 'm', max_tokens: 50, messages: [{ role: 'user', content }], ...more });

say('models', (await client.models.list()).data.map(model => model.id));
const whole = await client.messages.create(ask('hi', { system: 'be brief' }));
say('messages', [whole.content[0].text, whole.stop_reason, whole.usage.output_tokens]);
const stream = client.messages.stream(ask('hi'));
let text = '';
stream.on('text', delta => { text += delta; });
const final = await stream.finalMessage();
say('messages-stream', [text, final.content[0].text, final.stop_reason, final.usage.output_tokens]);
const called = await client.messages.stream(ask('use a tool', { tools })).finalMessage();
const block = called.content.find(part => part.type === 'tool_use');
say('messages-tools', [called.stop_reason, block.name, block.input]);
try {
  await client.messages.create({ ...ask('hi'), model: 'other' });
} catch (error) {
  say('refused', [error.constructor.name, error.status]);
}
