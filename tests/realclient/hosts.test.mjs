// SPDX-License-Identifier: Apache-2.0
// The real client on three hosts that share one server. HOLDFAST names the program; HOLDFAST_DISPATCHES, how often
// a session is dispatched to two hosts at once (default 6).
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';
import { after, before, beforeEach, test } from 'node:test';
import { Model } from './model.mjs';
import { Network } from './network.mjs';
import { pause } from './place.mjs';
import { create, resume, startTurn, turn } from './client.mjs';

/* No test may succeed by waiting for a lease to expire, unless it says so. */
const LONG_TTL = ['--ttl', '10m'];
const SHORT_TTL = ['--ttl', '5s'];
const DISPATCHES = Number(process.env.HOLDFAST_DISPATCHES ?? 6);

let network, model, hosts;

before(async () => {
  network = await Network.start(LONG_TTL);
  model = await Model.start(network.address);
  hosts = [];
  for (const name of ['one', 'two', 'three']) hosts.push(await network.host(name));
});

beforeEach(async () => {
  for (const host of hosts) await host.start();
});

after(async () => {
  await model?.stop();
  await network?.close();
});

const turnOn = (host, session, prompt) => turn(host.home, model, session, prompt, host.inside);
const startTurnOn = (host, session, prompt) => startTurn(host.home, model, session, prompt, host.inside);

/** The request that ended with this prompt; prompts are unique. */
const requestFor = (prompt) => model.requests.find((request) => request.prompts.at(-1) === prompt);

/** The log is whole events, and of one conversation: each event's parent is the one before it. */
function checkLog(id, host) {
  const log = fs.readFileSync(host.session(id, 'events.jsonl'), 'utf8');
  assert.ok(log.endsWith('\n'), 'the log ends in the middle of a line');
  const events = log.slice(0, -1).split('\n').map((line) => JSON.parse(line));
  const ids = events.map((event) => event.id);
  assert.equal(new Set(ids).size, ids.length, 'an event is there twice');
  return events;
}

const userPrompts = (events) =>
  events.filter((event) => event.type === 'user.message').map((event) => event.data.content);

/** The SDK in a process on a host. */
class Agent {
  static async start(host) {
    const agent = new Agent();
    const script = path.join(path.dirname(fileURLToPath(import.meta.url)), 'agent.mjs');
    const [program, ...args] = [...host.inside, process.execPath, script];
    agent.child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    agent.closed = new Promise((resolve) => agent.child.on('close', resolve));
    agent.lines = readline.createInterface({ input: agent.child.stdout })[Symbol.asyncIterator]();
    await agent.ask({ home: host.home, model: { url: model.url } });
    return agent;
  }

  async ask(job) {
    this.child.stdin.write(`${JSON.stringify(job)}\n`);
    const { value, done } = await this.lines.next();
    if (done) throw new Error('the agent process ended');
    return JSON.parse(value);
  }

  async stop() {
    this.child.stdin.end();
    await this.closed;
  }
}

test('the SDK alternates the turns of many sessions between three hosts', async () => {
  const agents = await Promise.all(hosts.map((host) => Agent.start(host)));
  const sessions = Array.from({ length: 6 }, (_, n) => ({ id: `squadron-${n}-${randomUUID()}`, prompts: [] }));
  for (let n = 0; n < 6; n++) {
    await Promise.all(agents.map(async (agent, a) => {
      for (const [s, session] of sessions.entries()) {
        if ((s + n) % agents.length !== a) continue;
        session.prompts.push(`turn ${n} of ${session.id}`);
        const { content, error } = await agent.ask({ id: session.id, prompt: session.prompts.at(-1), create: n === 0 });
        assert.equal(error, undefined, `turn ${n} on ${hosts[a].home}`);
        assert.equal(content, `turn ${n + 1}`);
        assert.deepEqual(requestFor(session.prompts.at(-1)).prompts, session.prompts, 'the history is not whole');
      }
    }));
  }
  await Promise.all(agents.map((agent) => agent.stop()));
  for (const { id, prompts } of sessions)
    assert.deepEqual(userPrompts(checkLog(id, hosts[0])), prompts);
});

test(`of two dispatches at the same moment on two hosts one wins, ${DISPATCHES} times`, async () => {
  const id = randomUUID();
  const won = ['the beginning'];
  await turnOn(hosts[0], create(id), won[0]);
  for (let n = 0; n < DISPATCHES; n++) {
    const hold = path.join(network.dir, `busy-${n}`);
    fs.writeFileSync(hold, '');
    /* The winner stays busy until the loser has ended: else both could win, one after the other. */
    const command = `while [ -e ${hold} ]; do sleep 0.05; done`;
    const call = JSON.stringify({ command, description: 'wait', mode: 'sync' });
    const rivals = [0, 1].map((h) => {
      const prompt = `dispatch ${n} on ${h}: call bash ${call}`;
      return { prompt, ...startTurnOn(hosts[h + (n % 2)], resume(id), prompt) };
    });
    const first = await Promise.race(rivals.map((rival) => rival.done.then((end) => ({ rival, ...end }))));
    assert.equal(first.code, 1, `one ended with ${first.code} while the other was busy:\n${first.output}`);
    assert.match(first.output, /Device or resource busy/);
    assert.equal(requestFor(first.rival.prompt), undefined, 'the model was asked before the refusal');
    fs.rmSync(hold);
    const winner = rivals.find((rival) => rival !== first.rival);
    const end = await winner.done;
    assert.equal(end.code, 0, end.output);
    won.push(winner.prompt);
    assert.deepEqual(requestFor(winner.prompt).prompts, won);
  }
  assert.deepEqual(userPrompts(checkLog(id, hosts[2])), won);
});

/** A turn that is busy in a tool call, on a host. */
async function startBusyTurn(id, host) {
  const file = path.join(network.dir, `busy-${randomUUID()}`);
  const command = `while [ -e ${file} ]; do sleep 0.1; done`;
  const call = JSON.stringify({ command, description: 'wait', mode: 'sync' });
  const prompt = `busy ${randomUUID()}: call bash ${call}`;
  fs.writeFileSync(file, '');
  const started = startTurnOn(host, resume(id), prompt);
  while (!fs.readFileSync(host.session(id, 'events.jsonl'), 'utf8').includes(file)) await pause(20);
  return { ...started, prompt, release: () => fs.rmSync(file, { force: true }) };
}

test('another host goes on at once when an agent, or its mount daemon, is killed', async () => {
  const id = randomUUID();
  await turnOn(hosts[0], create(id), 'the beginning');
  const busy = await startBusyTurn(id, hosts[0]);
  const refused = await startTurnOn(hosts[1], resume(id), 'too early').done;
  assert.equal(refused.code, 1, refused.output);
  busy.child.kill('SIGKILL');
  busy.release();
  await busy.done;
  await turnOn(hosts[1], resume(id), 'after the agent');
  assert.equal(requestFor('after the agent').prompts[1], busy.prompt);

  const second = await startBusyTurn(id, hosts[1]);
  await hosts[1].stop('kill');
  await turnOn(hosts[2], resume(id), 'after the daemon');
  const { prompts } = requestFor('after the daemon');
  assert.deepEqual(prompts.slice(0, 4), ['the beginning', busy.prompt, 'after the agent', second.prompt]);
  second.release();
  await second.done;
  await hosts[1].start();
  await turnOn(hosts[1], resume(id), 'on the daemon after it');
  checkLog(id, hosts[0]);
});

test('a restart of the server is not noticed', async () => {
  const id = randomUUID();
  const prompts = [];
  for (let n = 0; n < 6; n++) {
    prompts.push(`restart ${n} of ${id}`);
    const running = startTurnOn(hosts[n % 3], n === 0 ? create(id) : resume(id), prompts.at(-1));
    await pause(50 * n); /* somewhere in the turn */
    await network.stopServer(n % 2 ? 'SIGKILL' : 'SIGTERM');
    await network.serve();
    const { code, output } = await running.done;
    assert.equal(code, 0, output);
    assert.deepEqual(requestFor(prompts.at(-1)).prompts, prompts);
  }
  checkLog(id, hosts[0]);
});

test('a host that is cut off is replaced after the TTL, and what it wrote late is kept aside', async () => {
  for (const host of hosts) await host.stop('umount');
  await network.stopServer('SIGTERM');
  await network.serve(SHORT_TTL);
  for (const host of hosts) await host.start();
  const [a, b] = hosts;
  const id = randomUUID();
  await turnOn(a, create(id), 'before the cut');
  /* In a process that is there already: one that is started closes what it inherits, which would wait. */
  const script = `read go; exec dd if=/dev/zero of='${a.session(id, 'late.txt')}' bs=1k count=1 conv=fsync`;
  const late = spawn('sh', ['-c', script], { stdio: ['pipe', 'ignore', 'ignore'] });
  const lateEnd = new Promise((resolve) => late.on('close', resolve));
  a.cut();
  late.stdin.write('go\n');
  for (let tries = 0; ; tries++) {
    const { code, output } = await startTurnOn(b, resume(id), 'after the cut').done;
    if (code === 0) break;
    assert.match(output, /Device or resource busy/); /* the TTL is not over */
    assert.ok(tries < 60, 'the host that was cut off was never replaced');
  }
  assert.equal(await lateEnd, 1, 'an fsync that nobody could hear of succeeded');
  a.mend();
  const events = () => JSON.parse(b.holdfast('lease', 'audit', '--json', id)).map((entry) => entry.event);
  while (!events().includes('rescue')) await pause(100);
  assert.ok(events().includes('renewal-failed') || events().includes('takeover'));
  assert.equal(fs.existsSync(b.session(id, 'late.txt')), false, 'late work reached the session');
  await turnOn(a, resume(id), 'when the cable was in again');
  assert.deepEqual(requestFor('when the cable was in again').prompts,
    ['before the cut', 'after the cut', 'when the cable was in again']);
  checkLog(id, a);
});
