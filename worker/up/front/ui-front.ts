/**
 * The Web UI port of `blockflow up`: for a browser that came by a link of `blockflow ui`, and only
 * by the name in that link, so that no other site and no name of a stranger's DNS gets an answer.
 */
import {
  createServer,
  request as askServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerResponse,
} from 'node:http';
import { ENTRY, issuePass, lastsMs, readPass, uiHostOf } from '../ui-pass.ts';

const COOKIE = 'blockflow';
/** The list without questions and locks, which are workflows, too. */
const IS_OPERATION = encodeURIComponent('BlockflowOperation IS NOT NULL');
const OPERATIONS = `/namespaces/default/workflows?query=${IS_OPERATION}`;
const REFUSAL =
  'This is the Web UI of `blockflow up`. Run `blockflow ui` as the user of `blockflow up`, ' +
  'and open the link that it prints: it works once, within five minutes.\n';

/** @param port of the Web UI behind, in this network */
export function createUiFront(key: string, port: number): Server {
  const door = doorOf(key);
  return createServer((request, response) => {
    const url = URL.parse(`http://front${request.url ?? '/'}`);
    if (url?.pathname === ENTRY && door.opens(request, url.searchParams.get('pass') ?? '')) {
      return enter(response, door.cookie());
    }
    if (!door.knows(request)) return refuse(response);
    pass(request, response, port);
  });
}

function doorOf(key: string) {
  const host = uiHostOf(key);
  let startedMs = Date.now();
  /** A clock that was set back must not keep everyone out until it is where it was. */
  const sinceMs = () => {
    if (Date.now() < startedMs) startedMs = Date.now() - lastsMs.link;
    return startedMs;
  };
  const used = new Map<string, number>();
  const isOurs = ({ headers }: IncomingMessage) =>
    URL.parse(`http://${headers.host ?? ''}`)?.hostname === host;
  return {
    /** Once. What was issued before us may have been used with the front before us. */
    opens(request: IncomingMessage, link: string): boolean {
      const issuedMs = readPass(key, 'link', link);
      for (const [old, at] of used) if (Date.now() - at > lastsMs.link) used.delete(old);
      if (!isOurs(request) || issuedMs === null || issuedMs < sinceMs() || used.has(link)) {
        return false;
      }
      used.set(link, Date.now());
      return true;
    },
    cookie: () => issuePass(key, 'session'),
    /**
     * By a cookie of this front: between two fronts the port may have been a stranger's, who was
     * sent the cookie of the one before. A change is wanted by a page of our own, not by a form
     * elsewhere.
     */
    knows(request: IncomingMessage): boolean {
      const { method = 'GET', headers } = request;
      const session = cookieOf(headers.cookie ?? '') ?? '';
      const reads = method === 'GET' || method === 'HEAD';
      const own = headers.origin === `http://${headers.host ?? ''}`;
      const issuedMs = readPass(key, 'session', session);
      return isOurs(request) && issuedMs !== null && issuedMs >= sinceMs() && (reads || own);
    },
  };
}

const cookieOf = (text: string) =>
  text
    .split(/; */)
    .find((one) => one.startsWith(`${COOKIE}=`))
    ?.slice(COOKIE.length + 1);

function enter(response: ServerResponse, session: string): void {
  const seconds = lastsMs.session / 1000;
  response.writeHead(303, {
    'Set-Cookie': `${COOKIE}=${session}; HttpOnly; SameSite=Strict; Path=/; Max-Age=${seconds}`,
    Location: OPERATIONS,
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-store',
  });
  response.end();
}

function refuse(response: ServerResponse): void {
  // What is still being sent is not read.
  response.writeHead(403, { 'Content-Type': 'text/plain; charset=utf-8', Connection: 'close' });
  response.end(REFUSAL);
}

function pass(request: IncomingMessage, response: ServerResponse, port: number): void {
  const { method, url: path, headers } = request;
  const address = `127.0.0.1:${port}`;
  const sent: OutgoingHttpHeaders = { ...headers, host: address };
  if (headers.origin !== undefined) sent['origin'] = `http://${address}`;
  const behind = askServer({ host: '127.0.0.1', port, method, path, headers: sent });
  behind.on('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
    answer.pipe(response);
  });
  behind.on('error', () => {
    if (!response.headersSent) response.writeHead(502, { 'Content-Type': 'text/plain' });
    response.end('The Temporal server starts or has ended; reload this page.\n');
  });
  response.on('close', () => behind.destroy());
  request.pipe(behind);
}
