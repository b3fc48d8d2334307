/**
 * Words that must not come back, each with what a native engineer writes instead. They were a
 * private dialect of this project; docs/contribute.md has the rules.
 */
const unwantedWords: Readonly<Record<string, string>> = {
  nobody: 'name the subject: no process, no user, no other job',
  whoever: 'name the subject: the agent, the caller, you',
  '(some|any)body': 'name the subject: another process, a user, a VM',
  'ask again': 'try again',
  '(is|are|be|goes|went|go) away': 'unavailable, not mounted, deleted',
  '(images? )?of no VM': 'standalone image',
  'mend(s|ed|ing)?': 'fix, repair',
  anew: 'again',
  'by now': 'already, meanwhile, or nothing',
  'for ever': 'without end, permanently',
  '(let|lets|letting) go of': 'release',
};

export const unwantedWord = new RegExp(`\\b(${Object.keys(unwantedWords).join('|')})\\b`, 'i');
