// SPDX-License-Identifier: Apache-2.0
// Hosts that share a server: each a network namespace of its own, joined by a bridge. This process is in a
// namespace of its own too (`unshare --net`), with the bridge, the server and the model; no packet leaves it.
// A namespace lives as long as a process that sleeps in it, so nothing is left behind.
//
//     [one] eth0 --- vone  \
//     [two] eth0 --- vtwo   }- bridge 10.77.0.1: server, model
//     [three] ...          /
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { MountedHost, pause } from './place.mjs';

const HUB = '10.77.0.1';
const PORT = 7420;

const ip = (...args) => execFileSync('ip', args);
const networkOf = (pid) => fs.readlinkSync(`/proc/${pid}/ns/net`);

class NetworkHost extends MountedHost {
  constructor(network, name, number, bundle) {
    super(network.dir, name, `holdfast://${HUB}:${PORT}?cert=${bundle}`);
    this.link = `v${name}`;
    this.number = number;
  }

  /** Makes the host's network: a sleeping process whose namespace has one end of a cable. */
  async plugIn() {
    this.sleeper = spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' });
    while (networkOf(this.sleeper.pid) === networkOf('self')) await pause(5);
    this.inside = ['nsenter', `--net=/proc/${this.sleeper.pid}/ns/net`, '--'];
    ip('link', 'add', this.link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(this.sleeper.pid));
    ip('link', 'set', this.link, 'master', 'bridge', 'up');
    const [enter, ...words] = this.inside;
    for (const command of [
      ['link', 'set', 'lo', 'up'],
      ['addr', 'add', `10.77.0.${this.number + 1}/24`, 'dev', 'eth0'],
      ['link', 'set', 'eth0', 'up'],
    ])
      execFileSync(enter, [...words, 'ip', ...command]);
  }

  /** Pulls the cable, and plugs it in again. */
  cut() {
    ip('link', 'set', this.link, 'down');
  }
  mend() {
    ip('link', 'set', this.link, 'up');
  }

  async abandon() {
    await super.abandon();
    this.sleeper?.kill('SIGKILL');
  }
}

/** A server with its store, and hosts that have certificates for it. */
export class Network {
  hosts = [];
  #server = null;

  static async start(options = []) {
    const network = new Network();
    network.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-hosts-'));
    network.options = options;
    network.store = `sqlite:${path.join(network.dir, 'store.db')}`;
    network.pki = path.join(network.dir, 'pki');
    ip('link', 'set', 'lo', 'up');
    ip('link', 'add', 'bridge', 'type', 'bridge');
    ip('addr', 'add', `${HUB}/24`, 'dev', 'bridge');
    ip('link', 'set', 'bridge', 'up');
    network.holdfast('cert', 'init', '--dir', network.pki, '--name', HUB);
    await network.serve();
    return network;
  }

  address = HUB;

  holdfast(...args) {
    return execFileSync(process.env.HOLDFAST, args, { encoding: 'utf8' });
  }

  /** Starts the server, and waits until it takes connections. */
  async serve(options = this.options) {
    const args = ['serve', '--store', this.store, '--listen', `${HUB}:${PORT}`, '--pki', this.pki, ...options];
    const child = spawn(process.env.HOLDFAST, args, { stdio: ['ignore', 'inherit', 'inherit'] });
    let ended = null;
    const closed = new Promise((resolve) => child.on('close', (code, signal) => resolve((ended = code ?? signal))));
    this.#server = { child, closed };
    while (!(await this.#answers())) {
      if (ended !== null) throw new Error(`holdfast serve ended with ${ended}`);
      await pause(10);
    }
  }

  #answers() {
    return new Promise((resolve) => {
      const socket = net.connect(PORT, HUB);
      socket.on('connect', () => resolve(true) ?? socket.destroy());
      socket.on('error', () => resolve(false));
    });
  }

  async stopServer(signal) {
    this.#server.child.kill(signal);
    await this.#server.closed;
  }

  /** A host with a certificate and a mount. */
  async host(name) {
    const bundle = path.join(this.dir, `${name}.pem`);
    this.holdfast('cert', 'issue', name, '--role', 'admin', '--dir', this.pki, '-o', bundle);
    const host = new NetworkHost(this, name, this.hosts.length + 1, bundle);
    this.hosts.push(host);
    await host.plugIn();
    await host.start();
    return host;
  }

  /** Unmounts, ends the server, has the store checked, and removes everything. */
  async close() {
    try {
      for (const host of this.hosts) await host.stopClean();
      await this.stopServer('SIGTERM');
      execFileSync(process.env.HOLDFAST, ['fsck', '--store', this.store], { stdio: 'inherit' });
    } finally {
      for (const host of this.hosts) await host.abandon();
      this.#server.child.kill('SIGKILL');
      await this.#server.closed;
      ip('link', 'del', 'bridge');
      fs.rmSync(this.dir, { recursive: true, force: true });
    }
  }
}
