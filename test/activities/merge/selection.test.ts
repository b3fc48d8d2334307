import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  assertPossible,
  selectVolumes,
} from '../../../activities/host/merge/planning/selection.ts';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { liveMergeInput, type LiveMergeRequest } from '../../../workflows/merge/request.ts';
import type { Volume } from '../../../workflows/chain/schemas.ts';

const PATHS = ['/pool/base.qcow2', '/pool/one.qcow2', '/pool/two.qcow2', '/pool/three.qcow2'];

const chainOf = (length: number): Volume[] =>
  PATHS.slice(0, length).map((path, i) => ({
    path,
    // libvirt numbers from the active layer down, in the order in which the volumes were opened.
    index: length - i,
    format: 'qcow2',
    identity: `1:${i}`,
    virtualSizeBytes: 0,
    allocatedBytes: 0,
    pool: 'pool',
    internalSnapshots: [],
  }));

const inputOf = (request: Partial<LiveMergeRequest>) =>
  liveMergeInput.parse({ vm: 'v', disk: 'vda', host: 'h', ...request });

/** What the request means: paths of top and base, 'done', or the code of the refusal. */
function meaning(request: Partial<LiveMergeRequest>, length: number, layer?: string) {
  try {
    const selected = selectVolumes(inputOf(request), chainOf(length), layer);
    return selected ? `${selected.top.path} > ${selected.base.path}` : 'done';
  } catch (error) {
    return failureDetails(error)?.details.code;
  }
}

/** The ways to name the volume at a place of a chain. */
const namesOf = (at: number, length: number) => [
  PATHS[at] as string,
  (PATHS[at] as string).slice('/pool/'.length),
  `vda[${length - at}]`,
];

describe('the volumes that a request means', () => {
  it('is the same for every way to name top and base, for every pair in every chain', () => {
    for (let length = 1; length <= 4; length++) {
      for (let top = 0; top < length; top++) {
        for (let base = 0; base < length; base++) {
          const wanted =
            top === 0 || top === base
              ? 'nothing-to-merge'
              : base > top
                ? 'reversed'
                : `${PATHS[top]} > ${PATHS[base]}`;
          for (const topName of namesOf(top, length)) {
            for (const baseName of namesOf(base, length)) {
              expect(meaning({ top: topName, base: baseName }, length)).toBe(wanted);
            }
          }
        }
      }
    }
  });

  it('is the whole chain without names, and the next volume down with --shallow', () => {
    expect(meaning({}, 4)).toBe(`${PATHS[3]} > ${PATHS[0]}`);
    expect(meaning({ shallow: true }, 4)).toBe(`${PATHS[3]} > ${PATHS[2]}`);
    expect(meaning({ top: 'two.qcow2' }, 4)).toBe(`${PATHS[2]} > ${PATHS[0]}`);
    expect(meaning({ top: 'two.qcow2', shallow: true }, 4)).toBe(`${PATHS[2]} > ${PATHS[1]}`);
    expect(meaning({ base: 'one.qcow2' }, 4)).toBe(`${PATHS[3]} > ${PATHS[1]}`);
  });

  it("is a snapshot's layer and the volume below it", () => {
    expect(meaning({ snapshot: 's' }, 4, PATHS[2])).toBe(`${PATHS[2]} > ${PATHS[1]}`);
    expect(meaning({ snapshot: 's' }, 4, '/pool/gone.qcow2')).toBe('volume-not-in-chain');
  });

  it('is done when nothing lies above the base and no top is named', () => {
    expect(meaning({}, 1)).toBe('done');
    expect(meaning({ shallow: true }, 1)).toBe('done');
    expect(meaning({ base: 'base.qcow2' }, 1)).toBe('done');
    expect(meaning({ base: 'three.qcow2' }, 4)).toBe('done');
    expect(meaning({ top: 'base.qcow2' }, 1)).toBe('nothing-to-merge');
  });

  it('is never guessed: other names, other disks and doubtful names are refused', () => {
    for (const top of ['/pool/two', 'pool/two.qcow2', 'vdb[2]', 'vda[9]', 'vda[]', 'TWO.qcow2']) {
      expect(meaning({ top }, 4)).toBe('volume-not-in-chain');
    }
    const twice = chainOf(3).map((v, i) => (i === 2 ? { ...v, path: '/other/one.qcow2' } : v));
    expect(() => selectVolumes(inputOf({ top: 'one.qcow2' }), twice)).toThrow(/several volumes/);
  });

  it('commits exactly what lies between base and overlay, whatever is asked', () => {
    const name = fc.option(fc.constantFrom(...namesOf(0, 4), ...namesOf(2, 4), ...namesOf(3, 4)));
    fc.assert(
      fc.property(name, name, fc.boolean(), (top, base, shallow) => {
        const request = { ...(top ? { top } : {}), ...(base ? { base } : {}), shallow };
        if (!/ > /.test(meaning(request, 4) ?? '')) return;
        const selected = selectVolumes(inputOf(request), chainOf(4));
        const {
          base: bottom,
          committed,
          top: last,
          overlay,
        } = selected as NonNullable<typeof selected>;
        expect(committed.at(-1)).toEqual(last);
        const at = PATHS.indexOf(bottom.path);
        const parts = [bottom, ...committed, ...(overlay ? [overlay] : [])];
        expect(parts.map((v) => v.path)).toEqual(PATHS.slice(at, at + parts.length));
        expect(overlay === null).toBe(last.path === PATHS[3]);
      }),
    );
  });
});

describe('options that contradict', () => {
  const why = (request: Partial<LiveMergeRequest>, guest: 'running' | 'off' = 'running') => {
    const input = inputOf(request);
    const selected = selectVolumes(input, chainOf(3), request.snapshot && PATHS[2]);
    try {
      assertPossible(input, selected as NonNullable<typeof selected>, guest);
      return null;
    } catch (error) {
      return failureDetails(error)?.details;
    }
  };
  const refused: [string, Partial<LiveMergeRequest>, 'running' | 'off'][] = [
    ['a snapshot and a base', { snapshot: 's', base: 'one.qcow2' }, 'running'],
    ['a snapshot and --shallow', { snapshot: 's', shallow: true }, 'running'],
    ['a base and --shallow', { base: 'one.qcow2', shallow: true }, 'running'],
    ['a decision and going on cold', { waitForDecision: true, onVmStop: 'continue' }, 'running'],
    ['keeping an inner overlay', { top: 'one.qcow2', keepOverlay: true }, 'running'],
    ['deciding about an inner layer', { top: 'one.qcow2', waitForDecision: true }, 'running'],
    ['deciding while the VM is down', { waitForDecision: true }, 'off'],
  ];
  it.each(refused)('are refused: %s', (_, request, guest) => {
    expect(why(request, guest)).toMatchObject({ code: 'invalid-request' });
  });

  it('are refused only then', () => {
    expect(why({})).toBeNull();
    expect(why({ snapshot: 's' })).toBeNull();
    expect(why({ keepOverlay: true }, 'off')).toBeNull();
    expect(why({ waitForDecision: true })).toBeNull();
    expect(why({ onVmStop: 'continue', keepRelative: true, keepVolumes: true })).toBeNull();
  });
});
