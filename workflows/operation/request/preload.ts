/**
 * The library that requests are written in, loaded once a V8 context of the orchestrator instead of
 * once a workflow (`worker/bundle.ts`). Only the library: the SDK freezes what it preloads, and a
 * schema or a regular expression changes while it is used.
 */
import * as z from 'zod/mini';

z.config(z.locales.en());
// The bundler follows each name to the module that has it, so a name of the schemas loads those.
z.strictObject({ name: z.string().check(z.minLength(1)) });
