import { testMatrix } from './matrix.ts';

testMatrix('snapshot create', 'snapshot create: ');
