import { testMatrix } from './matrix.ts';

testMatrix('merge');
