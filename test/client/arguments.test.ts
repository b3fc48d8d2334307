/** What a person types: rates, disks, counts. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { BlockflowError } from '../../client/library/failure.ts';
import { parseCount } from '../../client/cli/arguments/count.ts';
import { parseDisk, parseVmOrDisk } from '../../client/cli/arguments/disk-argument.ts';
import {
  parseImage,
  parseSubject,
  parseOperation,
} from '../../client/cli/arguments/image-argument.ts';
import { parseRate } from '../../client/cli/arguments/rate.ts';

const usageOf = (run: () => unknown): string | null => {
  try {
    run();
    return null;
  } catch (error) {
    if (error instanceof BlockflowError && error.type === 'Usage') return error.message;
    throw error;
  }
};
const MEBIBYTE = 2 ** 20;

test('a rate is MiB/s as in virsh, or has a unit', () => {
  expect(parseRate('200')).toBe(200 * MEBIBYTE);
  expect(parseRate('200M')).toBe(200 * MEBIBYTE);
  expect(parseRate('1G')).toBe(1024 * MEBIBYTE);
  expect(parseRate('512K')).toBe(512 * 1024);
  expect(parseRate('1.5g')).toBe(1536 * MEBIBYTE);
  expect(parseRate(' 10 MiB/s ')).toBe(10 * MEBIBYTE);
  expect(parseRate('4096B')).toBe(4096);
  expect(parseRate('0')).toBe(0);
});

test('every whole number means itself in every unit', () => {
  const units = { B: 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, '': 2 ** 20 };
  const unit = fc.constantFrom(...(Object.keys(units) as (keyof typeof units)[]));
  fc.assert(
    fc.property(fc.nat(8_000_000), unit, (value, name) => {
      expect(parseRate(`${value}${name}`)).toBe(value * units[name]);
    }),
  );
});

test('a text is a whole number of bytes, or it is refused; never another number', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9.eE+-]{0,9}[BKMGTx]?$/)), (text) => {
      if (usageOf(() => parseRate(text)) !== null) return;
      const bytes = parseRate(text);
      expect(Number.isSafeInteger(bytes) && bytes >= 0).toBe(true);
      expect(text.trim()).toMatch(/^\d/);
      expect(bytes > 0 || Number.parseFloat(text) === 0).toBe(true);
    }),
  );
});

test('a rate that would round to "no limit" is refused', () => {
  expect(usageOf(() => parseRate('0.0001B'))).toContain('less than one byte');
  expect(usageOf(() => parseRate('99999999999T'))).toContain('too large');
  for (const text of ['', '-1', 'M', '1X', '1 2', '1e3', '0x10']) {
    expect(usageOf(() => parseRate(text))).toContain('it is not a rate');
  }
});

test('VM DISK and VM/DISK are the same', () => {
  const vm = fc.stringMatching(/^[A-Za-z0-9_. ][A-Za-z0-9_. -]{0,20}$/);
  const disk = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
  fc.assert(
    fc.property(vm, disk, (vmName, target) => {
      expect(parseDisk(vmName, target)).toEqual({ vm: vmName, disk: target });
      expect(parseDisk(`${vmName}/${target}`)).toEqual({ vm: vmName, disk: target });
    }),
  );
});

test('a disk that is missing, named twice or no target is told as such', () => {
  expect(usageOf(() => parseDisk('web1'))).toContain('no disk is named');
  expect(usageOf(() => parseDisk('web1/vda', 'vdb'))).toContain('the disk is named twice');
  expect(usageOf(() => parseDisk('web1', '../etc'))).toContain('not a disk target');
  expect(usageOf(() => parseDisk('--vm', 'vda'))).toContain('not a VM name');
  expect(usageOf(() => parseDisk('web1/'))).toContain('not a disk target');
  expect(parseVmOrDisk('web1')).toEqual({ vm: 'web1' });
});

const vda = { kind: 'disk', vm: 'web1', disk: 'vda' };
const volume = (name: string, format: string) => {
  const [pool, file] = name.split('/');
  return { kind: 'volume', pool, volume: file, format };
};

test('A/B is a volume where its format is told, and a disk where B is a target', () => {
  expect(parseImage('web1', 'vda')).toEqual(vda);
  expect(parseImage('web1/vda')).toEqual(vda);
  expect(parseImage('images/web1.qcow2')).toEqual(volume('images/web1.qcow2', 'qcow2'));
  expect(parseImage('images/a.img')).toEqual(volume('images/a.img', 'raw'));
  const qcow2 = (name: string) => parseImage(name, undefined, 'qcow2');
  for (const name of ['default/web1-root', 'default/disk1', 'default/vda', 'default/a.img']) {
    expect(qcow2(name)).toEqual(volume(name, 'qcow2'));
  }
});

test('what may be a disk or a volume is neither, and both spellings are told', () => {
  for (const name of ['default/disk1', 'default/web1-root', 'a/raw', 'a/x.constructor']) {
    const said = usageOf(() => parseImage(name));
    const [first, second] = name.split('/');
    expect(said).toContain(`Say \`${first} ${second}\` for a disk of VM ${first}`);
    expect(said).toContain('--source-format qcow2 or --source-format raw');
  }
  expect(parseImage('default', 'disk1')).toEqual({ kind: 'disk', vm: 'default', disk: 'disk1' });
  expect(usageOf(() => parseImage('web1/'))).toContain('is not a disk target');
  expect(usageOf(() => parseImage('web1', 'vda', 'raw'))).toContain("the VM's XML says");
});

test('an operation is named by its id, whatever the image is called', () => {
  const name = fc.stringMatching(/^[A-Za-z0-9_. ][A-Za-z0-9_. -]{0,20}$/);
  const rest = fc.array(name, { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(name, rest, (vm, parts) => {
      const disk = parts.join('/');
      expect(parseOperation(`${vm}/${disk}`)).toEqual({ vm, disk });
      expect(parseOperation(`${vm}/${disk}`)).toEqual({ vm, disk });
      expect(parseSubject(`${vm}/${disk}`)).toEqual({ vm, disk: parts[0] });
    }),
  );
  expect(parseOperation('default', 'web1-root')).toEqual({ vm: 'default', disk: 'web1-root' });
  expect(parseOperation('default')).toEqual({ vm: 'default' });
  expect(parseOperation('web1')).toEqual({ vm: 'web1' });
  expect(usageOf(() => parseOperation('web1/vda', 'vdb'))).toContain('the disk is named twice');
  for (const bad of ['web1/', '/vda', 'a//b', 'a/b/', `a/b\nc`, `a/${'b'.repeat(700)}`]) {
    expect(usageOf(() => parseOperation(bad))).toContain('not the name of an operation');
  }
});

test('a count is a number from 1 to 1000', () => {
  expect(parseCount('1')).toBe(1);
  for (const text of ['0', '1001', '-1', 'x', '1.5', '']) {
    expect(usageOf(() => parseCount(text))).toContain('Give 1 to 1000');
  }
});
