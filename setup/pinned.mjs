/** Fetches of programs: what is kept has the hash that the tree names. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CannotDo } from './say.mjs';

/** @param {string} file */
export async function sha256Of(file) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/**
 * Downloads into the file. It is for the caller to use, and to run, only after this has returned.
 * @param {string} url
 * @param {string} file
 * @param {string} sha256
 * @throws CannotDo without an answer, and when the content has another hash
 */
export async function fetchPinned(url, file, sha256) {
  const giveUp = new AbortController();
  // Offline is known at once or after these seconds; the body may take its time.
  const timer = setTimeout(() => giveUp.abort(new CannotDo('no answer within 8 s')), 8000);
  try {
    const response = await fetch(url, { signal: giveUp.signal });
    if (!response.ok || !response.body) throw new CannotDo(`HTTP ${response.status} from ${url}`);
    clearTimeout(timer);
    const limit = AbortSignal.timeout(600_000);
    await pipeline(Readable.fromWeb(response.body), createWriteStream(file), { signal: limit });
  } catch (error) {
    throw new CannotDo(`${error.cause?.message ?? error.message} (${url})`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
  const found = await sha256Of(file);
  if (found !== sha256) {
    throw new CannotDo(`${url} has the SHA-256 ${found}, and not ${sha256}: it is not used`);
  }
}
