// SPDX-License-Identifier: Apache-2.0
// An agent process on a host: the real SDK, told what to do line by line on its standard input.
//     {"home", "model"}                    once, to begin
//     {"id", "prompt", "create"}           one turn of a session: resumed (or created), asked, let go
// Answers each with a line: {"content"} or {"error"}.
import readline from 'node:readline';
import { startSdk } from './client.mjs';

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const next = async () => {
  const { value, done } = await lines.next();
  return done ? null : JSON.parse(value);
};
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

const { home, model } = await next();
const { client, config } = await startSdk(home, model);
say({});
for (let job; (job = await next()); ) {
  let session = null;
  try {
    session = job.create
      ? await client.createSession({ sessionId: job.id, ...config })
      : await client.resumeSession(job.id, config);
    say({ content: (await session.sendAndWait({ prompt: job.prompt })).data.content });
  } catch (error) {
    say({ error: String(error) });
  } finally {
    await session?.disconnect().catch(() => {});
  }
}
await client.stop();
process.exit(0);
