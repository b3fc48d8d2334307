/** Another user of the machine, and a page in a browser: what do they hear from a port? */
import { execa } from 'execa';

/** What was heard of each attempt: the status of an answer, or nothing. */
export type Heard = Record<string, string>;

/**
 * Runs as uid 65534 without groups where we are root; else as ourselves, without any key. One
 * request a connection; what is heard ends with the connection, or after two silent seconds.
 */
const PROGRAM = `
const { connect } = require('node:net');
const tls = require('node:tls');
const port = Number(process.argv[1]);
if (process.getuid() === 0) {
  process.setgroups([]);
  process.setgid(65534);
  process.setuid(65534);
}
const http = (start, host, more = '', body = '') =>
  start + ' HTTP/1.1\\r\\nHost: ' + host + '\\r\\nConnection: close\\r\\n' + more +
  'Content-Length: ' + body.length + '\\r\\n\\r\\n' + body;
const merge = { workflowType: { name: 'LiveMerge' }, taskQueue: { name: 'blockflow' } };
const start = JSON.stringify(merge);
const api = '/api/v1/namespaces/default/workflows/evil';
const plain = 'Content-Type: text/plain\\r\\n';
const foreign = plain + 'Origin: http://evil.example\\r\\n';
const own = '127.0.0.1:' + port;
const http2 = 'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n\\0\\0\\0\\x04\\0\\0\\0\\0\\0';
const attempts = {
  page: [http('GET /', own)],
  api: [http('GET /api/v1/namespaces', own)],
  metrics: [http('GET /metrics', own)],
  post: [http('POST ' + api, own, plain, start)],
  crossSite: [http('POST ' + api, own, foreign, start)],
  rebinding: [http('POST ' + api, 'evil.example:' + port, foreign, start)],
  rebound: [http('GET /api/v1/namespaces', 'evil.example:' + port)],
  gRPC: [http2],
  gRPCOverTls: [http2, true],
  pageOverTls: [http('GET /', own), true],
};
const hear = ([words, secret]) => new Promise((resolve) => {
  let heard = '';
  const end = () => { socket.destroy(); resolve(heard); };
  const options = { host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['h2'] };
  const socket = secret ? tls.connect(options) : connect(port, '127.0.0.1');
  socket.setTimeout(2000, end);
  socket.on('data', (data) => { heard += data.toString('latin1'); });
  socket.on('error', end).on('close', end);
  socket.write(words, 'latin1');
});
const short = (heard) => {
  const [, status] = /^HTTP\\/1.1 (\\d+)/.exec(heard) ?? [];
  return status ?? (heard === '' ? 'nothing' : /^\\x15\\x03/.test(heard) ? 'nothing' : 'an answer');
};
(async () => {
  const all = {};
  for (const [name, attempt] of Object.entries(attempts)) all[name] = short(await hear(attempt));
  console.log(JSON.stringify(all));
})();
`;

export async function strangerHears(port: number): Promise<Heard> {
  const { stdout } = await execa(process.execPath, ['--eval', PROGRAM, String(port)]);
  return JSON.parse(stdout) as Heard;
}
