import { testMatrix } from './matrix.ts';

testMatrix('move', 'move: ');
