/**
 * The process of the server of `blockflow up`: in a network of its own, where no one else reaches
 * what Temporal listens on. It lets its owner in by two sockets of the machine's network, which
 * `up` hands over. It ends with Temporal, and Temporal with it, and both with `up`.
 */
import { readFileSync } from 'node:fs';
import type { Server as Listener } from 'node:net';
import { tlsFiles } from '../../environment/up-files.ts';
import { stopSignal } from '../../roles/stop-signal.ts';
import { startTemporalServer } from '../temporal-server.ts';
import { createGrpcFront } from './grpc-front.ts';
import { createUiFront } from './ui-front.ts';

/** In this network no one else has them. */
const [PORT, UI_PORT] = [7233, 8233];

async function main([stateDir = '']: string[]): Promise<void> {
  process.umask(0o077);
  process.send?.('inside');
  const stop = stopSignal();
  const over = new Promise<void>((end) => {
    stop.addEventListener('abort', () => end(), { once: true });
    process.once('disconnect', end);
  });
  const files = tlsFiles(stateDir);
  const key = readFileSync(files.clientKey, 'utf8');
  const tls = {
    ca: readFileSync(files.authority),
    cert: readFileSync(files.server),
    key: readFileSync(files.serverKey),
  };
  const fronts = { grpc: createGrpcFront(tls, PORT), ui: createUiFront(key, UI_PORT) };
  process.on('message', (name: keyof typeof fronts, listener: Listener) => {
    listener.on('connection', (socket) => fronts[name].emit('connection', socket));
  });
  const server = await startTemporalServer({ stateDir, port: PORT, uiPort: UI_PORT });
  process.send?.('ready');
  await Promise.race([over, server.ended]);
  await server.stop();
}

await main(process.argv.slice(2)).catch((error: Error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
});
process.exit();
