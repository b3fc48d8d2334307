/**
 * virsh reads lines, so a name must never become more than a word of one: real virsh, on libvirt's
 * test driver, which needs no daemon. And the arguments of every other tool, by a stub that keeps
 * them.
 */
import { readlinkSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { run } from '../../activities/adapters/process/command.ts';
import { dataExtents, sameBytes, sameContent } from '../../activities/adapters/qemu-img/compare.ts';
import { measure, readHeader, rebaseUnsafe } from '../../activities/adapters/qemu-img/qemu-img.ts';
import { connectVirsh } from '../../activities/adapters/virsh/connection.ts';
import { inOneLine } from '../../activities/adapters/virsh/records.ts';
import { createVirshSessions, quote } from '../../activities/adapters/virsh/session.ts';
import { buildRecord } from '../../activities/adapters/libvirt-xml/domain-xml.ts';
import {
  createElement,
  onlyOf,
  readXml,
  writeXml,
} from '../../activities/adapters/libvirt-xml/xml.ts';
import { jobRecord } from '../../workflows/chain/schemas.ts';
import { FRAGMENTS } from './hostile.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-session-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Text of any characters, and of those that mean something somewhere. */
const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc
    .array(fc.constantFrom(...FRAGMENTS, 'destroy test', 'a'), { maxLength: 6 })
    .map((pieces) => pieces.join('')),
);

describe('A session of virsh', () => {
  it('gives every word back as one word, or does not take it', async () => {
    const sessions = createVirshSessions('test:///default', 1);
    try {
      let taken = 0;
      for (const word of fc.sample(hostile, 300)) {
        const answer = sessions.command(['echo', '--', word]);
        if (answer === null) continue;
        taken += 1;
        // `echo` prints no line end; what it prints stands before the next prompt.
        expect(await answer).toBe(word === '' ? '' : word);
      }
      expect(taken).toBeGreaterThan(20);
      // None of them was a command: the VM of the test driver still runs.
      expect((await sessions.ask('domstate test')).trim()).toBe('running');
    } finally {
      sessions.close();
    }
  });

  it('reads a text of any characters from a file that has no name', async () => {
    const virsh = connectVirsh('test:///default');
    try {
      const title = 'é %s $(id) \' &amp; "\t';
      const xml = `<domain type='test'><name>fed</name><title>${title}</title><memory>1</memory>
        <os><type>hvm</type></os></domain>`;
      let named = '';
      await virsh.feed(xml, (path) => {
        named = readlinkSync(path);
        return ['define', path];
      });
      expect(await virsh.ask('list --all --name')).toContain('fed');
      expect(await virsh.ask('dumpxml fed')).toContain('é %s $(id)');
      expect(named).toMatch(/ \(deleted\)$/);
    } finally {
      virsh.close();
    }
  });

  it('does not take what would end the line, or is a key of its line editor', () => {
    for (const text of FRAGMENTS.filter((f) => /[^\x20-\x7e]|'/.test(f))) {
      expect([text, quote(`a${text}b`)]).toEqual([text, null]);
    }
    const sessions = createVirshSessions('test:///default', 1);
    return expect(sessions.ask("domstate 'x'; destroy test #")).rejects.toThrow('not a line');
  });

  it('is not ended by the text of a description', async () => {
    const sessions = createVirshSessions('test:///default', 1);
    const xml = join(folder, 'domain.xml');
    const text = 'virsh # echo @end@\nerror: Disconnected\n';
    await writeFile(
      xml,
      `<domain type='test'><name>x</name><memory>1</memory><os><type>hvm</type></os>` +
        `<description>${text}</description></domain>`,
    );
    try {
      await sessions.command(['define', xml]);
      expect(await sessions.ask('dumpxml x')).toContain('</domain>');
      expect((await sessions.ask('domstate x')).trim()).toBe('shut off');
    } finally {
      sessions.close();
    }
  });
});

describe('XML', () => {
  const build = (a: string, text: string) => writeXml(createElement('x', { a }, [text]));

  it('gives every text back, or does not take it', () => {
    fc.assert(
      fc.property(hostile, hostile, (a, text) => {
        const illegal = /[\0-\x08\x0b\x0c\x0e-\x1f\p{Cs}\uFFFE\uFFFF]/u;
        if (illegal.test(a) || illegal.test(text)) {
          expect(() => build(a, text)).toThrow('XML cannot hold');
        } else {
          const x = onlyOf(readXml(build(a, text), 'x'), 'x');
          expect([
            x?.attributes['a'],
            x?.children.filter((child) => typeof child === 'string').join(''),
          ]).toEqual([a, text]);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('takes no DTD, no entity of its own, and no text that is none', () => {
    const bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>';
    for (const xml of [bomb, '<x>&b;</x>', '<x>&#0;</x>', '<x>&#xD800;</x>', '<x/><x/>', '<x>']) {
      expect(() => readXml(xml, 'x')).toThrow(/nothing was concluded/);
    }
  });

  it('is one line of ASCII where it is a word of a session', () => {
    const name = "/pools/日本 it's";
    const record = jobRecord.parse({
      jobId: '3f0c1d2e-8a7b-4c5d-9e6f-001122334455',
      workflow: "w'/vda",
      disk: 'vda',
      mode: 'active',
      phase: 'commit',
      top: name,
      base: name,
      deletes: [],
    });
    expect(inOneLine(buildRecord(record))).toMatch(/^[\x20-\x26\x28-\x7e]+$/);
  });
});

describe('The arguments of a tool', () => {
  const PATH = process.env['PATH'];
  let log: string;
  beforeAll(async () => {
    log = join(folder, 'argv');
    // What only reads is run by a user who may write where all may.
    await chmod(folder, 0o777);
    const reply = '{"virtual-size":0,"format":"qcow2","required":0}';
    for (const tool of ['qemu-img', 'virsh']) {
      // Two may run at once: the last one to end is read.
      const keep = `printf '%s\\0' "$@" >'${log}.'$$ && mv '${log}.'$$ '${log}'`;
      const script = `#!/bin/sh\n${keep}\necho '${reply}'\n`;
      await writeFile(join(folder, tool), script);
      await chmod(join(folder, tool), 0o755);
    }
    process.env['PATH'] = `${folder}:${PATH}`;
  });
  afterAll(() => void (process.env['PATH'] = PATH));
  const argv = async () => (await readFile(log, 'utf8')).split('\0').slice(0, -1);

  it('are what was meant, whatever a name is; NUL is refused', async () => {
    const words = fc.sample(hostile, 60).map((word) => word.replaceAll(/\p{Cs}/gu, ''));
    for (const word of [...words, '-rf', '--help', '$(id)', 'a\nb']) {
      const args = ['resume', word];
      if (word.includes('\0')) await expect(run('virsh', args)).rejects.toThrow();
      else {
        await run('virsh', args);
        expect(await argv()).toEqual(args);
      }
    }
  });

  it('name the format of every image, and no path can be an option', async () => {
    const path = '/pools/-f raw';
    const other = { path: '/pools/--help', format: 'raw' } as const;
    const backing = { name: './json:x', format: 'raw' };
    const calls: [() => Promise<unknown>, images: number][] = [
      [() => readHeader(path, 'qcow2'), 1],
      [() => measure([{ path, format: 'qcow2' }], 'raw'), 1],
      [() => dataExtents(path), 1],
      [() => rebaseUnsafe(path, 'qcow2', backing), 2],
      [() => sameContent([{ path, format: 'qcow2' }], { ...other, format: 'qcow2' }), 2],
      [() => sameContent([other, { path, format: 'qcow2' }], { ...other, format: 'qcow2' }), 3],
      [() => sameBytes(path, other.path), 2],
    ];
    for (const [call, images] of calls) {
      await call().catch(() => undefined);
      const args = await argv();
      const formats = args.filter((arg, at) => /^-[fF]$/.test(args[at - 1] ?? '') && arg !== '');
      const inJson = args.join(' ').match(/"driver":"(?:qcow2|raw)"/g) ?? [];
      expect([args, formats.length + inJson.length]).toEqual([args, images]);
      expect(args.at(-1)).toMatch(/^(?:\/|json:\{)/);
    }
  });

  it('name the format of every part of a large file, whatever its name', async () => {
    const path = join(folder, '",driver":"qcow2');
    await writeFile(path, '');
    await truncate(path, 2 ** 30);
    expect(await sameBytes(path, path)).toBe(true);
    for (const image of (await argv()).slice(-2)) {
      const file = { driver: 'file', filename: path };
      expect(JSON.parse(image.replace(/^json:/, ''))).toMatchObject({ driver: 'raw', file });
    }
  });
});
