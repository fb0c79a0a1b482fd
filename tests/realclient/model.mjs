// SPDX-License-Identifier: Apache-2.0
// A stand-in for a model: an OpenAI-compatible endpoint that needs no network and no
// key. What it answers is told by the prompt itself:
//
//   "... call TOOL {json arguments}"   asks for that tool call, and answers when its result comes back
//   anything else                      answers "turn N", N being the user messages of the request
//
// Every request is kept, so that a test can see what a resumed client still knew.
import http from 'node:http';

const text = (content) =>
  typeof content === 'string' ? content : (content ?? []).map((part) => part.text ?? '').join('');

/** What the user said, without what the client wraps around it. */
function promptOf(message) {
  return text(message.content)
    .replace(/<(current_datetime|system_reminder|reminder|system_notification)[^]*?<\/\1>/g, '')
    .trim();
}

function wantedCall(messages) {
  const last = messages[messages.length - 1];
  if (last?.role !== 'user') return null;
  const match = /\bcall (\w+) (\{[^]*\})/.exec(promptOf(last));
  return match && { name: match[1], arguments: match[2] };
}

export class Model {
  #server;
  /** The chat requests so far, as { prompts, results, tools, body }. */
  requests = [];
  url;

  static async start(address = '127.0.0.1') {
    const model = new Model();
    model.#server = http.createServer((request, response) => model.#serve(request, response));
    await new Promise((resolve) => model.#server.listen(0, address, resolve));
    model.url = `http://${address}:${model.#server.address().port}/v1`;
    return model;
  }

  stop() {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(resolve));
  }

  /** Resolves when the request after the first `count` has come in. */
  async requestAfter(count, within = 30_000) {
    const end = Date.now() + within;
    while (this.requests.length <= count) {
      if (Date.now() > end) throw new Error('the client asked the model for nothing');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async #serve(request, response) {
    if (request.method === 'GET' && request.url.startsWith('/v1/models')) {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ object: 'list', data: [{ id: 'stand-in', object: 'model' }] }));
      return;
    }
    if (request.method !== 'POST' || !request.url.startsWith('/v1/chat/completions')) {
      response.statusCode = 404;
      response.end();
      return;
    }
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = JSON.parse(Buffer.concat(chunks));
    const users = body.messages.filter((message) => message.role === 'user');
    this.requests.push({
      prompts: users.map(promptOf),
      results: body.messages.filter((message) => message.role === 'tool').map((m) => text(m.content)),
      tools: (body.tools ?? []).map((tool) => tool.function?.name),
      body,
    });
    this.#answer(body, response, users.length);
  }

  #answer(body, response, turn) {
    const call = wantedCall(body.messages);
    const id = `chatcmpl-${this.requests.length}`;
    const usage = { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 };
    const delta = call
      ? { tool_calls: [{ index: 0, id: `call_${this.requests.length}`, type: 'function', function: call }] }
      : { content: `turn ${turn}` };
    const reason = call ? 'tool_calls' : 'stop';
    const base = { id, created: Math.floor(Date.now() / 1000), model: body.model };
    if (!body.stream) {
      const message = { role: 'assistant', content: delta.content ?? null, tool_calls: delta.tool_calls };
      const choices = [{ index: 0, message, finish_reason: reason }];
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ ...base, object: 'chat.completion', choices, usage }));
      return;
    }
    const send = (piece, finish_reason, more) =>
      response.write(
        `data: ${JSON.stringify({
          ...base,
          object: 'chat.completion.chunk',
          choices: [{ index: 0, delta: piece, finish_reason }],
          ...more,
        })}\n\n`,
      );
    response.setHeader('content-type', 'text/event-stream');
    send({ role: 'assistant', ...delta }, null);
    send({}, reason, { usage });
    response.end('data: [DONE]\n\n');
  }
}
