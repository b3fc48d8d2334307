import { sizeWords } from '../../../workflows/operation/words.ts';
import type { ImagePlan } from '../../../workflows/transfer/plan.ts';

export const spaceWords = ({ pool }: ImagePlan['to'], freeBytes: number) =>
  `waiting for space in pool ${pool}: ${sizeWords(freeBytes)} are free`;
