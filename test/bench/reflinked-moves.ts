/** Moves between two pools of one file system with reflinks, of images of very different size. */
import { mountOwn } from '../support/host/own-mount.ts';
import { median, ms, type Row } from './figures.ts';
import { createImage, forget, GIB, move, withMoves, type Image } from './moves-scene.ts';

const SMALL_BYTES = GIB / 64;

/** In turn, so that both meet the same machine. Verified, as moves are unless told otherwise. */
export async function reflinkedMoves(quick: boolean): Promise<Row[]> {
  const largeBytes = quick ? GIB / 2 : 4 * GIB;
  const repeats = quick ? 3 : 9;
  const mount = await mountOwn('xfs', 3 * 4096);
  try {
    return await withMoves(async (scene) => {
      const images = [SMALL_BYTES, largeBytes].map((dataBytes, i): Image => ({
        vm: `reflinked${i}`,
        format: 'qcow2',
        dataBytes,
      }));
      const times = images.map((): number[] => []);
      for (const image of images) await createImage(scene, image);
      for (let i = 0; i < repeats; i++) {
        for (const [at, image] of images.entries()) {
          await forget(scene, image);
          times[at]?.push(await move(scene, image, { verify: 'full' }));
        }
      }
      const [small = 0, large = 0] = times.map(median);
      return [rowOf({ small, large, largeBytes, repeats })];
    }, mount.path);
  } finally {
    await mount.close();
  }
}

interface Measured {
  small: number;
  large: number;
  largeBytes: number;
  repeats: number;
}

function rowOf({ small, large, largeBytes, repeats }: Measured): Row {
  const ratio = large / small;
  return {
    what: `move by reflink (xfs), verified, ${largeBytes / GIB} GiB of data against 16 MiB`,
    measured: `${ms(large)}, 16 MiB ${ms(small)}, ratio ${ratio.toFixed(2)}, n=${repeats}`,
    goal: 'ratio at most 1.1',
    met: ratio <= 1.1,
  };
}
