/** A test guest's data, judged whole: its acknowledged writes, and the marks of its layers. */
import type { Guest } from './guest.ts';
import { expectMarks } from './layer-marks.ts';
import { expectNoLoss, verifyGuestData } from './oracle.ts';

interface Image {
  path: string;
  format: string;
  /** While a process may write it. */
  forceShare?: boolean;
}

/** Throws when the image lacks any. Returns what was acknowledged. */
export async function expectGuestData(guest: Guest, { path, ...how }: Image): Promise<number> {
  const acknowledged = guest.acknowledged();
  const question = { imagePath: path, ...how, parameters: guest.disk.parameters, acknowledged };
  expectNoLoss(await verifyGuestData(question), guest.serial);
  await expectMarks(guest, path, how.format);
  return acknowledged;
}
