import { builtinModules } from 'node:module';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

const outsideTheSandbox = [
  ...builtinModules,
  'execa',
  '@temporalio/activity',
  '@temporalio/client',
  '@temporalio/envconfig',
  '@temporalio/testing',
  '@temporalio/worker',
].map((name) => ({ name, message: 'Workflow code is replayed: no Node, no outside.' }));

/** Shapes that only agents and clients parse: classic zod, of which workflows take the types. */
const parsedOutside = ['**/activities.ts', '**/plan.ts', '**/schemas.ts', '**/audit.ts'];
const zod = {
  name: 'zod',
  message: 'Requests are zod/mini; classic zod costs memory in every cached workflow.',
};

/** Paths that workflow code may take types from, but no code. */
const typesOnly = (group, message) => ({ group, message, allowTypeImports: true });
const nodeModules = { group: ['node:*'], message: 'Workflow code is replayed: no Node.' };
const activities = { group: ['**/activities/**'], message: 'Workflows know no agent.' };
const schemas = typesOnly(parsedOutside, 'zod stays outside the bundle: import type.');

const restrict = (paths, patterns) => ({
  '@typescript-eslint/no-restricted-imports': ['error', { paths, patterns }],
});

/** A call that hangs would take a thread from all pools. */
const inLanesOnly = {
  name: 'node:fs/promises',
  message: 'Calls of file systems are made in lanes: activities/adapters/files/calls.ts.',
};

export default defineConfig(
  { ignores: ['dist/', 'coverage/', 'node_modules/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      'no-duplicate-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { ignoreRestSiblings: true }],
      'no-warning-comments': ['error', { terms: ['todo', 'fixme', 'xxx'], location: 'anywhere' }],
      'no-restricted-syntax': [
        'error',
        { selector: 'ExportDefaultDeclaration', message: 'Name it: no default exports.' },
        {
          selector: 'ExportSpecifier[exported.name="default"]',
          message: 'Name it: no default exports.',
        },
      ],
    },
  },
  {
    files: ['workflows/**'],
    rules: restrict([...outsideTheSandbox, zod], [nodeModules, activities, schemas]),
  },
  {
    files: parsedOutside.map((name) => `workflows/${name}`),
    rules: restrict(outsideTheSandbox, [nodeModules, activities]),
  },
  {
    files: ['activities/**'],
    ignores: ['activities/adapters/files/calls.ts'],
    rules: restrict([inLanesOnly], []),
  },
  {
    // A mock's method handed to expect() is a value, not a lost `this`.
    files: ['test/**/*.ts'],
    rules: { '@typescript-eslint/unbound-method': 'off' },
  },
  { files: ['**/*.js', '**/*.mjs'], extends: [tseslint.configs.disableTypeChecked] },
  { files: ['**/*.config.js'], rules: { 'no-restricted-syntax': 'off' } },
);
