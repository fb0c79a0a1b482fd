// SPDX-License-Identifier: Apache-2.0
// Where the client's sessions are kept: a plain directory, to know the driver good, or a mount.
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const EX_TEMPFAIL = 75;
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** One host of a client: a home directory whose session-state is plain, or a mount of a store. */
class Host {
  constructor(dir, name) {
    this.home = path.join(dir, name);
    this.state = path.join(this.home, '.copilot', 'session-state');
    fs.mkdirSync(this.state, { recursive: true });
  }

  session(id, ...rest) {
    return path.join(this.state, id, ...rest);
  }

  /** Forgets what the client keeps outside of session-state, as if this were another host. */
  forget() {
    for (const name of fs.readdirSync(path.join(this.home, '.copilot')))
      if (name !== 'session-state')
        fs.rmSync(path.join(this.home, '.copilot', name), { recursive: true, force: true });
  }
}

class PlainHost extends Host {
  async start() {}
  async remount() {}
  async stopClean() {}
  async abandon() {}
}

export class MountedHost extends Host {
  #daemon = null;

  /** `inside`: the words before a command that run it on the host's own network; none: here. */
  constructor(dir, name, store, inside = []) {
    super(dir, name);
    this.store = store;
    this.inside = inside;
  }

  /** Runs holdfast on this host, and returns what it printed. */
  holdfast(...args) {
    const [program, ...rest] = [...this.inside, process.env.HOLDFAST, ...args];
    return execFileSync(program, rest, { encoding: 'utf8', env: { ...process.env, HOLDFAST_STORE: this.store } });
  }

  /** The process that serves the mount. */
  get daemon() {
    return this.#daemon.child;
  }

  #mounted() {
    return fs.readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
      .some((line) => line.split(' ')[4] === this.state);
  }

  /** A mount whose daemon is gone answers nothing. */
  #answers() {
    try {
      fs.readdirSync(this.state);
      return this.#mounted();
    } catch {
      return false;
    }
  }

  /** Mounts with the daemon as a child, so that what is killed is surely ours. */
  async start() {
    if (this.#daemon) return;
    const [program, ...args] = [...this.inside, process.env.HOLDFAST, 'mount', '-f', '--store', this.store, this.state];
    const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit'] });
    let ended = null;
    const closed = new Promise((resolve) =>
      child.on('close', (code, signal) => resolve((ended = { code, signal }))));
    this.#daemon = { child, closed };
    while (!this.#answers()) {
      if (ended) {
        this.#daemon = null;
        throw new Error(`holdfast mount ended with ${ended.code ?? ended.signal}`);
      }
      await pause(10);
    }
  }

  /** Takes the sessions of the plain directory into the store. The error tells what it said. */
  adopt() {
    this.holdfast('adopt', this.state);
  }

  /** The processes of a client that was killed take a moment to end; until then the mount is in use. */
  async #unmount() {
    for (let tries = 0; ; tries++) {
      try {
        this.holdfast('umount', this.state);
        return;
      } catch (error) {
        if (error.status !== EX_TEMPFAIL || tries === 100) throw error;
        await pause(100);
      }
    }
  }

  /** 'umount': asks for it; 'term': a signal to the daemon; 'kill': the daemon dies on the spot, and
   *  leaves a stale mount behind, which the next start() replaces. */
  async stop(how) {
    const { child, closed } = this.#daemon;
    if (how === 'umount') await this.#unmount();
    else child.kill(how === 'kill' ? 'SIGKILL' : 'SIGTERM');
    const { code, signal } = await closed;
    this.#daemon = null;
    if (how === 'kill') return;
    if (code !== 0) throw new Error(`the daemon ended with ${code ?? signal} after ${how}`);
    if (this.#mounted()) throw new Error(`still mounted after ${how}`);
  }

  async remount(how) {
    await this.stop(how);
    await this.start();
  }

  async stopClean() {
    if (this.#daemon) await this.stop('umount');
    else if (this.#mounted()) this.holdfast('umount', this.state);
  }

  async abandon() {
    this.#daemon?.child.kill('SIGKILL');
    await this.#daemon?.closed;
    if (this.#mounted()) execFileSync('fusermount3', ['-u', '-z', this.state]);
  }
}

/** A temporary place with as many hosts as are asked for. */
export class Place {
  hosts = [];
  mounted = Boolean(process.env.HOLDFAST);

  constructor() {
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-realclient-'));
    this.store = `sqlite:${path.join(this.dir, 'store.db')}`;
  }

  async host(name) {
    const host = this.mounted
      ? new MountedHost(this.dir, name, this.store)
      : new PlainHost(this.dir, name);
    await host.start();
    this.hosts.push(host);
    return host;
  }

  /** A host whose sessions are in a plain directory until adopt() and start(). */
  plainHost(name) {
    const host = new MountedHost(this.dir, name, this.store);
    this.hosts.push(host);
    return host;
  }

  /** Unmounts, has the store checked, and removes everything. */
  async close() {
    try {
      for (const host of this.hosts) await host.stopClean();
      if (this.mounted)
        execFileSync(process.env.HOLDFAST, ['fsck', '--store', this.store], { stdio: 'inherit' });
    } finally {
      for (const host of this.hosts) await host.abandon();
      fs.rmSync(this.dir, { recursive: true, force: true });
    }
  }
}
