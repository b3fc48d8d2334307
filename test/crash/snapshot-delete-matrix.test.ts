import { testMatrix } from './matrix.ts';

testMatrix('snapshot delete', 'snapshot delete: ');
