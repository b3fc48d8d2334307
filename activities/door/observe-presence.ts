import { presence } from '../../workflows/operation/activities.ts';
import { implement } from './implement.ts';

/** Answers at once: who gets an answer knows that the agent is there. */
export const observePresence = () => Promise.resolve();

/** What every agent serves. */
export const presenceActivities = implement(presence, null, { observePresence });
