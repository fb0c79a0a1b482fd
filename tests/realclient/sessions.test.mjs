// SPDX-License-Identifier: Apache-2.0
// What a user of the client relies on, with the real client. HOLDFAST names the program to mount
// with; without it the sessions are in a plain directory, which knows no refusal.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { Model } from './model.mjs';
import { Place } from './place.mjs';
import { create, resume, startSdk, startTurn, turn } from './client.mjs';

const INTERRUPTIONS = ['kill', 'term', 'umount'];

let model, place, host;

before(async () => {
  model = await Model.start();
  place = new Place();
  host = await place.host('one');
});

/* A test that failed may have left the host unmounted. */
beforeEach(() => host.start());

after(async () => {
  await model.stop();
  await place.close();
});

/** Every line of the log is one whole event. */
function checkLog(id, on = host) {
  const log = fs.readFileSync(on.session(id, 'events.jsonl'), 'utf8');
  assert.ok(log.endsWith('\n'), 'the log ends in the middle of a line');
  for (const line of log.slice(0, -1).split('\n')) JSON.parse(line);
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const lastRequest = () => model.requests[model.requests.length - 1];

const toolCalls = (id, on) =>
  fs.readFileSync(on.session(id, 'events.jsonl'), 'utf8').split('tool.execution_start').length - 1;

/** Starts a turn that is busy in a tool call until release() or kill(); returns when its log says so. */
async function startBusyTurn(id, on = host) {
  const file = path.join(place.dir, `busy-${randomUUID()}`);
  const command = `while [ -e ${file} ]; do sleep 0.1; done`;
  const call = JSON.stringify({ command, description: 'wait', mode: 'sync' });
  const before = toolCalls(id, on);
  fs.writeFileSync(file, '');
  const started = startTurn(on.home, model, resume(id), `busy: call bash ${call}`);
  let ended = null;
  started.done.then((end) => (ended = end));
  while (toolCalls(id, on) === before) {
    if (ended) assert.fail(`the turn ended before it was busy:\n${ended.output}`);
    await pause(10);
  }
  return {
    ...started,
    release: () => fs.rmSync(file, { force: true }),
    kill: () => {
      started.child.kill('SIGKILL');
      fs.rmSync(file); /* the tool's shell ends by itself */
      return started.done;
    },
  };
}

test('twenty turns, each in its own process, survive every kind of interruption', async () => {
  const id = randomUUID();
  const prompts = [];
  for (let n = 1; n <= 20; n++) {
    const prompt = `prompt number ${n}, marker ${randomUUID()}`;
    await turn(host.home, model, n === 1 ? create(id) : resume(id), prompt);
    prompts.push(prompt);
    assert.deepEqual(lastRequest().prompts, prompts, `before turn ${n} something was lost`);
    await host.remount(INTERRUPTIONS[n % INTERRUPTIONS.length]);
    if (n % 4 === 0) host.forget();
    checkLog(id);
  }
  assert.deepEqual(fs.readdirSync(host.session(id)).filter((name) => name.startsWith('inuse.')), []);
});

test('a tool call and its result are part of the history', async () => {
  const id = randomUUID();
  const call = JSON.stringify({ command: 'echo $((6*7))-from-a-tool', description: 'run', mode: 'sync' });
  await turn(host.home, model, create(id), `use it: call bash ${call}`);
  assert.match(lastRequest().results[0], /42-from-a-tool/);
  await host.remount('kill');
  await turn(host.home, model, resume(id), 'and what was it?');
  assert.match(lastRequest().results[0], /42-from-a-tool/);
  assert.equal(lastRequest().prompts.length, 2);
});

test('a turn that was killed in the middle can be resumed', async () => {
  const id = randomUUID();
  await turn(host.home, model, create(id), 'before the accident');
  const busy = await startBusyTurn(id);
  assert.equal((await busy.kill()).signal, 'SIGKILL');
  await host.remount('umount');
  await turn(host.home, model, resume(id), 'after the accident');
  const { prompts } = lastRequest();
  assert.equal(prompts[0], 'before the accident');
  assert.match(prompts[1], /^busy: /);
  assert.equal(prompts.at(-1), 'after the accident');
  checkLog(id);
});

test('a turn whose mount is killed under it loses nothing that was saved', async (t) => {
  if (!place.mounted) return t.skip('a plain directory has no daemon');
  const id = randomUUID();
  await turn(host.home, model, create(id), 'before the accident');
  const busy = await startBusyTurn(id);
  await host.stop('kill');
  busy.release();
  await busy.done;
  await host.start();
  await turn(host.home, model, resume(id), 'after the accident');
  const { prompts } = lastRequest();
  assert.equal(prompts[0], 'before the accident');
  assert.match(prompts[1], /^busy: /);
  assert.equal(prompts.at(-1), 'after the accident');
  checkLog(id);
});

test('the session database keeps what the agent put into it', async () => {
  const id = randomUUID();
  const sql = (query) => `call sql ${JSON.stringify({ query, description: 'run it' })}`;
  await turn(host.home, model, create(id), `first ${sql('CREATE TABLE fruit (name TEXT, n INT)')}`);
  await host.remount('kill');
  await turn(host.home, model, resume(id), `then ${sql("INSERT INTO fruit VALUES ('quince', 4711)")}`);
  await host.remount('kill');
  await turn(host.home, model, resume(id), `last ${sql('SELECT name, n FROM fruit')}`);
  assert.match(lastRequest().results.at(-1), /quince/);
  assert.match(lastRequest().results.at(-1), /4711/);
  assert.equal(fs.readFileSync(host.session(id, 'session.db')).subarray(0, 15).toString(), 'SQLite format 3');
});

/** While one process is busy with the session, a second one is started on `second`. */
async function dispatchTwice(id, second) {
  const busy = await startBusyTurn(id);
  try {
    const asked = model.requests.length;
    const { code, output } = await startTurn(second.home, model, resume(id), 'me too').done;
    assert.equal(code, 1, `the second process was let in:\n${output}`);
    assert.match(output, /Device or resource busy/);
    assert.equal(model.requests.length, asked, 'the model was asked before the refusal');
  } finally {
    busy.release();
    assert.equal((await busy.done).code, 0);
  }
}

test('a double dispatch is refused before the model is asked', async () => {
  const id = randomUUID();
  await turn(host.home, model, create(id), 'the only one');
  if (!place.mounted) {
    await assert.rejects(dispatchTwice(id, host), /was let in/, 'a plain directory refuses nobody');
    return;
  }
  await dispatchTwice(id, host);
  await turn(host.home, model, resume(id), 'still the only one');
  assert.ok(!lastRequest().prompts.includes('me too'));
  checkLog(id);
});

test('two mounts of one store take turns, and refuse each other while busy', async (t) => {
  if (!place.mounted) return t.skip('needs two mounts');
  const other = await place.host('two');
  const id = randomUUID();
  const prompts = [];
  for (let n = 1; n <= 10; n++) {
    const on = n % 2 ? host : other;
    prompts.push(`turn ${n} of two hosts`);
    await turn(on.home, model, n === 1 ? create(id) : resume(id), prompts.at(-1));
    assert.deepEqual(lastRequest().prompts, prompts);
  }
  await dispatchTwice(id, other);
  await turn(other.home, model, resume(id), 'when the first had finished');
  assert.deepEqual(lastRequest().prompts.slice(0, 10), prompts);
  checkLog(id, other);
  await other.stopClean();
});

test('the SDK creates, resumes after a remount, and keeps the history', async () => {
  const id = 'squadron-dev-issue-42';
  let sdk = await startSdk(host.home, model);
  let session = await sdk.client.createSession({ sessionId: id, ...sdk.config });
  assert.equal((await session.sendAndWait({ prompt: 'hello' })).data.content, 'turn 1');
  await session.disconnect();
  await sdk.client.stop();
  await host.remount('kill');
  sdk = await startSdk(host.home, model);
  session = await sdk.client.resumeSession(id, sdk.config);
  assert.equal((await session.sendAndWait({ prompt: 'hello again' })).data.content, 'turn 2');
  await session.disconnect();
  await sdk.client.stop();
  assert.deepEqual(lastRequest().prompts, ['hello', 'hello again']);
});

/** A copy of a session under another name, as a user makes it. */
function fork(id, copy) {
  execFileSync('cp', ['-a', host.session(id), host.session(copy)]);
}

test('a fork by cp -a is a session of its own with the whole history', async () => {
  const id = randomUUID(), copy = randomUUID();
  await turn(host.home, model, create(id), 'the common past');
  fork(id, copy);
  const log = fs.readFileSync(host.session(id, 'events.jsonl'));
  await turn(host.home, model, resume(copy), 'only in the fork');
  assert.deepEqual(lastRequest().prompts, ['the common past', 'only in the fork']);
  await host.remount('kill');
  assert.deepEqual(fs.readFileSync(host.session(id, 'events.jsonl')), log, 'the original changed');
  await turn(host.home, model, resume(id), 'only in the original');
  assert.deepEqual(lastRequest().prompts, ['the common past', 'only in the original']);
});

test('a fork of any version by holdfast names itself, and each goes its own way', async (t) => {
  if (!place.mounted) return t.skip('a plain directory has no versions');
  const id = randomUUID();
  const log = (name) => fs.readFileSync(host.session(name, 'events.jsonl'), 'utf8');
  await turn(host.home, model, create(id), 'the common past');
  const { version } = JSON.parse(host.holdfast('session', 'show', '--json', id));
  await turn(host.home, model, resume(id), 'only in the original');
  const { name } = JSON.parse(host.holdfast('session', 'fork', '--json', id));
  const older = JSON.parse(host.holdfast('session', 'fork', '--json', `${id}@${version}`, 'an-older-one')).name;
  assert.equal(log(name), log(id).replace(id, name));
  const before = log(id);
  await turn(host.home, model, resume(name), 'only in the fork');
  assert.deepEqual(lastRequest().prompts, ['the common past', 'only in the original', 'only in the fork']);
  await turn(host.home, model, resume(older), 'only in the older fork');
  assert.deepEqual(lastRequest().prompts, ['the common past', 'only in the older fork']);
  assert.equal(log(id), before, 'the original changed');
  await turn(host.home, model, resume(id), 'again in the original');
  assert.deepEqual(lastRequest().prompts, ['the common past', 'only in the original', 'again in the original']);
  for (const each of [id, name, older]) {
    checkLog(each);
    assert.match(fs.readFileSync(host.session(each, 'workspace.yaml'), 'utf8'), new RegExp(`^id: ${each}$`, 'm'));
  }
  const sdk = await startSdk(host.home, model);
  const listed = (await sdk.client.listSessions()).map((session) => session.sessionId);
  for (const each of [id, name, older]) assert.ok(listed.includes(each), `${each} is not listed`);
  await sdk.client.stop();
});

test('a damaged log is resumed once holdfast has repaired it', async (t) => {
  if (!place.mounted) return t.skip('a plain directory has no versions');
  const id = randomUUID();
  await turn(host.home, model, create(id), 'before the damage');
  const file = host.session(id, 'events.jsonl');
  const sound = fs.readFileSync(file);
  fs.writeFileSync(file, Buffer.concat([sound, Buffer.alloc(4096), Buffer.from('{"type":"user.mess')]));
  assert.throws(() => host.holdfast('session', 'check', id), { status: 65 });
  host.holdfast('session', 'check', '--repair', '--wait', '10s', id);
  assert.deepEqual(fs.readFileSync(file), sound);
  await turn(host.home, model, resume(id), 'after the repair');
  assert.deepEqual(lastRequest().prompts, ['before the damage', 'after the repair']);
  checkLog(id);
});

test('listSessions tells three hundred sessions', async (t) => {
  const id = randomUUID();
  await turn(host.home, model, create(id), 'one of many');
  const names = Array.from({ length: 300 }, () => randomUUID());
  for (const name of names) {
    fork(id, name);
    for (const file of ['events.jsonl', 'workspace.yaml']) {
      const text = fs.readFileSync(host.session(name, file), 'utf8');
      fs.writeFileSync(host.session(name, file), text.replaceAll(id, name));
    }
  }
  await host.remount('kill');
  host.forget();
  const sdk = await startSdk(host.home, model);
  const begin = performance.now();
  const listed = new Set((await sdk.client.listSessions()).map((session) => session.sessionId));
  t.diagnostic(`listSessions() over ${listed.size} took ${Math.round(performance.now() - begin)} ms`);
  await sdk.client.stop();
  assert.deepEqual(names.filter((name) => !listed.has(name)), []);
});

test('sessions of a plain directory go on once they were adopted', async (t) => {
  if (!place.mounted) return t.skip('a plain directory has nothing to be adopted into');
  const plain = place.plainHost('plain');
  const id = randomUUID();
  await turn(plain.home, model, create(id), 'on the plain directory');
  const busy = await startBusyTurn(id, plain);
  assert.throws(() => plain.adopt(), /is in use/);
  busy.release();
  assert.equal((await busy.done).code, 0);
  plain.adopt();
  assert.deepEqual(fs.readdirSync(plain.state), []);
  await plain.start();
  await turn(plain.home, model, resume(id), 'on the mount');
  await turn(host.home, model, resume(id), 'on a mount that was there before');
  const { prompts } = lastRequest();
  assert.equal(prompts.length, 4);
  assert.equal(prompts[0], 'on the plain directory');
  assert.equal(prompts[2], 'on the mount');
  checkLog(id, plain);
});
