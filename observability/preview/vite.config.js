import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const folder = path.resolve(import.meta.dirname, '../dashboards');

/** The dashboards as they are committed, at /dashboards/NAME.json. */
const dashboards = {
  name: 'dashboards',
  configureServer(server) {
    server.middlewares.use('/dashboards/', (request, response) => {
      const name = path.basename(request.url.split('?')[0]);
      response.setHeader('Content-Type', 'application/json');
      if (readdirSync(folder).includes(name)) response.end(readFileSync(path.join(folder, name)));
      else response.end(JSON.stringify(readdirSync(folder).filter((f) => f.endsWith('.json'))));
    });
  },
};

export default defineConfig({
  plugins: [react(), dashboards],
  define: { 'process.env': {} },
  server: {
    host: '127.0.0.1',
    port: Number(process.env.PORT ?? 5173),
    proxy: { '/prometheus': { target: process.env.PROMETHEUS ?? 'http://127.0.0.1:9090', rewrite: (url) => url.replace(/^\/prometheus/, '') } },
  },
});
