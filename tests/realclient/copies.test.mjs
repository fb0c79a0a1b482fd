// SPDX-License-Identifier: Apache-2.0
// The real client goes on with what the tools make of a session: a fork, a restored version, an archive that was
// imported into another store, a backup of a store that is no more.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Model } from './model.mjs';
import { MountedHost, Place } from './place.mjs';
import { create, resume, turn } from './client.mjs';

let model, place, host;

before(async () => {
  model = await Model.start();
  place = new Place();
  host = await place.host('one');
});

after(async () => {
  await model.stop();
  await place.close();
});

const lastRequest = () => model.requests[model.requests.length - 1];

/** Runs a turn, and checks that the model was told the whole history. Returns it. */
async function say(on, id, history, prompt) {
  await turn(on.home, model, history.length === 0 ? create(id) : resume(id), prompt);
  assert.deepEqual(lastRequest().prompts, [...history, prompt], 'the history is not what it should be');
  const log = fs.readFileSync(on.session(id, 'events.jsonl'), 'utf8');
  for (const line of log.trimEnd().split('\n')) JSON.parse(line);
  return [...history, prompt];
}

/** A session of some turns: its history, and the version after each turn. */
async function conversation(id, turns) {
  const versions = [];
  let history = [];
  for (let n = 1; n <= turns; n++) {
    history = await say(host, id, history, `turn ${n} of ${turns}, marker ${randomUUID()}`);
    versions.push(JSON.parse(host.holdfast('session', 'show', '--json', id)).version);
  }
  return { history, versions };
}

/** A host of another store, mounted. */
async function hostOf(store, name) {
  const other = new MountedHost(place.dir, name, `sqlite:${path.join(place.dir, store)}`);
  place.hosts.push(other);
  await other.start();
  return other;
}

/** The session's files name it, and no other. */
function checkId(on, id, former) {
  const own = (file) => fs.readFileSync(on.session(id, file), 'utf8');
  assert.match(own('workspace.yaml'), new RegExp(`^id: ${id}$`, 'm'));
  assert.equal(JSON.parse(own('events.jsonl').split('\n')[0]).data.sessionId, id);
  assert.ok(!own('workspace.yaml').includes(former));
}

test('a fork and its origin go on, each its own way', async () => {
  const id = randomUUID(), fork = randomUUID(), named = 'squadron-dev-fork';
  const { history, versions } = await conversation(id, 3);
  host.holdfast('session', 'fork', id, fork);
  host.holdfast('session', 'fork', `${id}@${versions[0]}`, named);
  checkId(host, fork, id);
  const ofFork = await say(host, fork, history, 'the fork goes on');
  const ofNamed = await say(host, named, history.slice(0, 1), 'from the first turn on');
  const ofOrigin = await say(host, id, history, 'so does the origin');
  await host.remount('kill');
  await say(host, id, ofOrigin, 'the origin again');
  await say(host, fork, ofFork, 'the fork again');
  await say(host, named, ofNamed, 'the named one again');
});

test('a restored version is what the client goes on from', async () => {
  const id = randomUUID();
  const { history, versions } = await conversation(id, 3);
  host.holdfast('session', 'restore', `${id}@${versions[1]}`);
  const restored = await say(host, id, history.slice(0, 2), 'another third turn');
  host.holdfast('session', 'restore', `${id}@${versions[2]}`);
  await say(host, id, history, 'nothing was lost');
  await host.remount('term');
  assert.equal(restored.length, 3);
});

test('an archive goes on in another store, under its own name and another', async () => {
  const id = randomUUID(), renamed = randomUUID();
  const { history } = await conversation(id, 2);
  const archive = path.join(place.dir, 'session.tar.zst');
  host.holdfast('session', 'export', id, '-o', archive);
  const other = await hostOf('other.db', 'elsewhere');
  other.holdfast('session', 'import', archive);
  other.holdfast('session', 'import', archive, '--rename', renamed);
  checkId(other, renamed, id);
  await say(other, id, history, 'in another store');
  await say(other, renamed, history, 'under another name');
  await say(host, id, history, 'and where it came from');
  await other.stopClean();
  other.holdfast('fsck');
});

test('a backup goes on when the store is destroyed', async () => {
  const id = randomUUID(), backup = `sqlite:${path.join(place.dir, 'backup.db')}`;
  const lost = await hostOf('lost.db', 'lost');
  let history = [];
  for (let n = 1; n <= 2; n++) history = await say(lost, id, history, `turn ${n} before the backup`);
  lost.holdfast('backup', '--create', backup);
  history = await say(lost, id, history, 'a turn after the first backup');
  lost.holdfast('backup', backup);
  await lost.stop('kill');
  for (const name of fs.readdirSync(place.dir).filter((file) => file.startsWith('lost.db')))
    fs.rmSync(path.join(place.dir, name));
  lost.holdfast('restore', backup);
  lost.holdfast('fsck');
  await lost.start();
  lost.forget();
  await say(lost, id, history, 'a turn after the disaster');
  await lost.stopClean();
});
