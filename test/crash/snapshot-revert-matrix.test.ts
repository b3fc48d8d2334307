import { testMatrix } from './matrix.ts';

testMatrix('snapshot revert', 'snapshot revert: ');
