import type { ImagePlan } from '../../../workflows/transfer/plan.ts';

export const spaceWords = ({ pool }: ImagePlan['to'], freeBytes: number) =>
  `waiting for space in pool ${pool}: ${freeBytes} bytes are free`;
