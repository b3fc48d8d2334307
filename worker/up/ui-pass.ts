/**
 * What lets a browser into the Web UI of `blockflow up`: a link that works once, then a cookie.
 * Both are signed by the key of the client's certificate, so anyone who may talk to Temporal may
 * make them, and no one else.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { tlsFiles } from '../environment/up-files.ts';

/** How long a link waits to be opened, and how long its browser stays inside. */
export const lastsMs = { link: 5 * 60_000, session: 12 * 3600_000 } as const;
export type Purpose = keyof typeof lastsMs;

/** Where a link leads. */
export const ENTRY = '/blockflow/enter';

const sign = (key: string, words: string) =>
  createHmac('sha256', key).update(words).digest('base64url');

export function issuePass(key: string, purpose: Purpose, nowMs = Date.now()): string {
  const words = `${nowMs}.${randomBytes(9).toString('base64url')}`;
  return `${words}.${sign(key, `${purpose} ${words}`)}`;
}

/** @returns when it was issued, or null for one that is none, or that has expired */
export function readPass(
  key: string,
  purpose: Purpose,
  pass: string,
  nowMs = Date.now(),
): number | null {
  const [issued = '', nonce = '', ...signature] = pass.split('.');
  const expected = Buffer.from(sign(key, `${purpose} ${issued}.${nonce}`));
  const given = Buffer.from(signature.join('.'));
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null;
  const issuedMs = Number(issued);
  return issuedMs <= nowMs && nowMs < issuedMs + lastsMs[purpose] ? issuedMs : null;
}

/**
 * A name of this machine that browsers take for a site of its own. Cookies do not know ports: what
 * another user serves on 127.0.0.1 must not be sent ours.
 */
export const uiHostOf = (key: string) =>
  `blockflow-${createHmac('sha256', key).update('host').digest('hex').slice(0, 16)}.localhost`;

/**
 * A new link. `blockflow ui` prints it.
 * @param uiUrl of the front, by its address
 */
export async function makeUiLink(stateDir: string, uiUrl: string): Promise<string> {
  const key = await readFile(tlsFiles(stateDir).clientKey, 'utf8');
  const { port } = new URL(uiUrl);
  return `http://${uiHostOf(key)}:${port}${ENTRY}?pass=${issuePass(key, 'link')}`;
}
