// Chromium with nobody who listens but one script: what it tells a debugger of
// each request costs more than the request, so times are taken without that.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { FLAGS, program } from './playground.js';

/** Starts Chromium on a pipe. */
export async function launchBare() {
  const profile = mkdtempSync(path.join(os.tmpdir(), 'playground-bare-'));
  const child = spawn(program(), [...FLAGS, '--headless', '--remote-debugging-pipe', `--user-data-dir=${profile}`, 'about:blank'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const [, , , input, output] = child.stdio;
  const waiting = new Map();
  let id = 0;
  let text = '';
  output.on('data', (chunk) => {
    text += chunk;
    const messages = text.split('\0');
    text = messages.pop();
    for (const message of messages.map((m) => JSON.parse(m))) {
      const { resolve, reject } = waiting.get(message.id) ?? {};
      waiting.delete(message.id);
      if (message.error) reject?.(new Error(message.error.message));
      else resolve?.(message.result);
    }
  });
  ended.then((code) => waiting.forEach(({ reject }) => reject(new Error(`Chromium ended with ${code}`))));
  const call = (method, params = {}, sessionId = undefined) =>
    new Promise((resolve, reject) => {
      waiting.set(++id, { resolve, reject });
      input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });

  return {
    /**
     * Opens a page in a context of its own, with nothing kept, and returns what
     * an expression in it comes to; a promise is waited for.
     */
    async visit(url, { before, expression, width = 1280, height = 800 }) {
      const { browserContextId } = await call('Target.createBrowserContext');
      const { targetId } = await call('Target.createTarget', { url: 'about:blank', browserContextId, width, height });
      const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true });
      await call('Page.enable', {}, sessionId);
      await call('Page.addScriptToEvaluateOnNewDocument', { source: before }, sessionId);
      await call('Page.navigate', { url }, sessionId);
      const evaluate = () => call('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true }, sessionId);
      // On a busy machine the first attempt may still meet the empty page before.
      const { result, exceptionDetails } = await evaluate().catch((error) => (/navigated/.test(error.message) ? evaluate() : Promise.reject(error)));
      await call('Target.disposeBrowserContext', { browserContextId });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    },
    async close() {
      await call('Browser.close').catch(() => {});
      await ended;
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
