// Two releases of the page behind one address: frontends of the real program,
// one of them built from a page that differs in a file, and a balancer that
// sends each request to the one that a test wants.

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Builds and starts a frontend of this release, and one of the next. */
export async function startReleases() {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'playground-releases-'));
  const changed = path.join(folder, 'theme.css');
  const overlay = path.join(folder, 'overlay.json');
  writeFileSync(changed, `${readFileSync(path.join(root, 'web/css/theme.css'), 'utf8')}\n:root { --next-release: 1; }\n`);
  writeFileSync(overlay, JSON.stringify({ Replace: { [path.join(root, 'web/css/theme.css')]: changed } }));
  const build = (name, ...flags) => {
    execFileSync('go', ['build', ...flags, '-o', path.join(folder, name), './services/frontend'], { cwd: root, stdio: 'inherit' });
    return startFrontend(path.join(folder, name));
  };
  const [now, next] = [await build('now'), await build('next', '-overlay', overlay)];
  return {
    now,
    next,
    async stop() {
      await Promise.all([now.stop(), next.stop()]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function startFrontend(program) {
  const child = spawn(program, [], { env: { ...process.env, ADDR: '127.0.0.1:0', DRAIN_DELAY: '0s' }, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  let output = '';
  const port = await new Promise((resolve, reject) => {
    const read = (chunk) => {
      output += chunk;
      const match = /"addr":"127\.0\.0\.1:(\d+)"/.exec(output);
      if (match) resolve(Number(match[1]));
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    ended.then((code) => reject(new Error(`the frontend ended with ${code}:\n${output}`)));
  });
  const answer = await fetch(`http://127.0.0.1:${port}/`);
  return {
    port,
    release: answer.headers.get('Pixel-Release'),
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/**
 * A balancer in front of a playground whose frontends are chosen by `route`,
 * which a test may set anew at any time: from a path to a port. With `gone` set
 * nothing answers, as if there were no network; `seen` has the paths that were asked for.
 */
export async function startBalancer(playground, route) {
  const sockets = new Set();
  const balancer = { route, gone: false, seen: [] };
  const portFor = (url) => (/^\/(ws|api)\b/.test(url) ? playground : balancer.route(url.split('?')[0]));
  const server = http.createServer((request, response) => {
    balancer.seen.push(request.url);
    if (balancer.gone) return request.socket.destroy();
    const onward = http.request({ port: portFor(request.url), host: '127.0.0.1', path: request.url, method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('upgrade', (request, socket, head) => {
    if (balancer.gone) return socket.destroy();
    const upstream = net.connect(playground, '127.0.0.1', () => {
      const lines = [`${request.method} ${request.url} HTTP/1.1`];
      for (let i = 0; i < request.rawHeaders.length; i += 2) lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
      upstream.write(`${lines.join('\r\n')}\r\n\r\n`);
      upstream.write(head);
      socket.pipe(upstream).pipe(socket);
    });
    socket.on('error', () => upstream.destroy());
    socket.on('close', () => upstream.destroy());
    upstream.on('error', () => socket.destroy());
    upstream.on('close', () => socket.destroy());
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(balancer, {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Ends all connections; nothing answers until mend. */
    cut() {
      balancer.gone = true;
      for (const socket of sockets) socket.destroy();
    },
    mend() {
      balancer.gone = false;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}
