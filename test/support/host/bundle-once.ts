/**
 * Bundles the workflows for all tests, before the first: a dozen processes that each bundle them on
 * a machine that also lints would take minutes.
 */
import { workflowSource } from '../../../worker/bundle.ts';
import { BUNDLES } from './host-folder.ts';

await workflowSource(BUNDLES);
