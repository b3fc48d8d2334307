import { testMatrix } from './matrix.ts';

// What only one disk meets is in the matrix of a move.
testMatrix('move disks', 'disks: ', 241);
