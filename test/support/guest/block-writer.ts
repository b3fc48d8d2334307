/**
 * A guest without a VM: writes blocks full of their generation, flushes after every few, and keeps
 * outside what was issued and what was flushed. The rule of recovery: each block holds its last
 * flushed generation or a later one that was issued.
 */
import { open } from 'node:fs/promises';
import { NbdClient } from './nbd-client.ts';
import { waitUntil } from '../wait-until.ts';

const BLOCK = 65_536;
const FLUSH_EVERY = 4;

interface Block {
  issued: number;
  flushed: number;
}

export interface BlockWriter {
  /** Generations that were flushed so far. */
  flushed(): number;
  untilFlushed(more: number): Promise<void>;
  /** Stops before the next write; resolves when none is under way. */
  pause(): Promise<void>;
  resume(): void;
  /** Once the server is gone: blocks of the raw image that break the rule. */
  lostIn(rawImage: string): Promise<number[]>;
}

export async function startBlockWriter(
  socket: string,
  exportName: string,
  blocks: number,
): Promise<BlockWriter> {
  const client = await NbdClient.connect(socket, exportName);
  const state: Block[] = Array.from({ length: blocks }, () => ({ issued: 0, flushed: 0 }));
  let flushed = 0;
  let isPaused = false;
  let isIdle = false;
  let resume: () => void = () => undefined;

  const run = async () => {
    for (;;) {
      if (isPaused) {
        isIdle = true;
        await new Promise<void>((resolve) => (resume = resolve));
        isIdle = false;
      }
      flushed = await writeSome(client, state, flushed);
    }
  };
  // It ends when its server dies.
  const ended = run().catch(() => undefined);

  return {
    flushed: () => flushed,
    async untilFlushed(more) {
      const wanted = flushed + more;
      await waitUntil(`${more} more flushed writes`, () => flushed >= wanted, { intervalMs: 2 });
    },
    async pause() {
      isPaused = true;
      await waitUntil('the writer to be idle', () => isIdle, { intervalMs: 1 });
    },
    resume() {
      isPaused = false;
      resume();
    },
    async lostIn(rawImage) {
      isPaused = false;
      resume();
      await ended;
      client.close();
      return lostBlocks(rawImage, state);
    },
  };
}

/** Writes the next generations and flushes them; the last of them. */
async function writeSome(client: NbdClient, state: readonly Block[], last: number) {
  const written: Block[] = [];
  for (let generation = last + 1; generation <= last + FLUSH_EVERY; generation++) {
    // Scattered, so that the mirror has many dirty places.
    const at = (generation * 37) % state.length;
    const block = state[at] as Block;
    block.issued = generation;
    await client.write(at * BLOCK, stamp(generation));
    written.push(block);
  }
  await client.flush();
  for (const block of written) block.flushed = block.issued;
  return last + FLUSH_EVERY;
}

function stamp(generation: number): Buffer {
  const data = Buffer.alloc(BLOCK);
  new Uint32Array(data.buffer, data.byteOffset, BLOCK / 4).fill(generation);
  return data;
}

async function lostBlocks(rawImage: string, state: readonly Block[]): Promise<number[]> {
  const file = await open(rawImage, 'r');
  try {
    const lost: number[] = [];
    for (const [at, { flushed, issued }] of state.entries()) {
      const data = Buffer.alloc(BLOCK);
      await file.read(data, 0, BLOCK, at * BLOCK);
      const words = new Uint32Array(data.buffer, data.byteOffset, BLOCK / 4);
      // A write that was never acknowledged may be there in part.
      const isWhole = words.every((word) => word >= flushed && word <= issued);
      if (!isWhole) lost.push(at);
    }
    return lost;
  } finally {
    await file.close();
  }
}
