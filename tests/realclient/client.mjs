// SPDX-License-Identifier: Apache-2.0
// Runs the real CLI and the real SDK, each turn of the CLI in a process of its own.
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const modules = path.join(process.env.HOLDFAST_CLIENT_DIR, 'node_modules');

/** The program inside the platform's package: what the package's loader starts. */
function cliProgram() {
  return path.join(modules, '@github', `copilot-linux-${process.arch}`, 'copilot');
}

/** An environment in which the client asks nobody but the model on loopback. */
export function environment(home, model) {
  return {
    PATH: process.env.PATH,
    HOME: home,
    LANG: 'C.UTF-8',
    COPILOT_HOME: path.join(home, '.copilot'),
    COPILOT_OFFLINE: 'true',
    COPILOT_AUTO_UPDATE: 'false',
    COPILOT_PROVIDER_BASE_URL: model.url,
    COPILOT_PROVIDER_TYPE: 'openai',
    COPILOT_PROVIDER_API_KEY: 'none',
    COPILOT_MODEL: 'stand-in',
    COPILOT_PROVIDER_MAX_PROMPT_TOKENS: '100000',
    COPILOT_PROVIDER_MAX_OUTPUT_TOKENS: '4096',
  };
}

/** A turn that was started: `done` resolves to { code, signal, output }. `inside`: the words before the command
 *  that run it on another network. */
export function startTurn(home, model, session, prompt, inside = []) {
  const cwd = path.join(home, 'project');
  fs.mkdirSync(cwd, { recursive: true });
  const [program, ...args] = [...inside, cliProgram(), '-p', prompt, '--allow-all-tools', ...session];
  const child = spawn(program, args, {
    cwd,
    env: environment(home, model),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (output += data));
  const done = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, output }));
  });
  return { child, done };
}

export const create = (id) => ['--session-id', id];
export const resume = (id) => [`--resume=${id}`];

/** Runs a turn to its end and throws unless the client is content. */
export async function turn(home, model, session, prompt, inside = []) {
  const { code, signal, output } = await startTurn(home, model, session, prompt, inside).done;
  if (code !== 0) throw new Error(`the client ended with ${code ?? signal}:\n${output}`);
  return output;
}

/** The SDK, connected, with its state below home/.copilot; and the settings of a session. */
export async function startSdk(home, model) {
  const entry = createRequire(path.join(modules, 'index.js')).resolve('@github/copilot-sdk');
  const sdk = await import(pathToFileURL(entry.replace(`${path.sep}cjs${path.sep}`, path.sep)));
  const { COPILOT_HOME: baseDirectory, ...env } = environment(home, model);
  const client = new sdk.CopilotClient({ baseDirectory, workingDirectory: home, env });
  await client.start();
  const config = {
    model: 'stand-in',
    provider: { type: 'openai', baseUrl: model.url, apiKey: 'none' },
    onPermissionRequest: sdk.approveAll,
  };
  return { client, config };
}
