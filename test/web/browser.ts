/**
 * Headless Chromium that reads the Web UI as a person does: all text that is visible, frames
 * included.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';
import { waitUntil } from '../support/wait-until.ts';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** A page under load, on a machine with other tests. */
const PATIENCE_MS = 45_000;

export interface WebUi {
  /** Opens any page; returns the status of the answer. */
  visit(url: string): Promise<number | undefined>;
  /** Opens a page and waits until it shows all of these texts; returns all that it shows. */
  expect(path: string, ...texts: string[]): Promise<string>;
  /** Waits until the open page shows all of these texts. */
  shows(...texts: string[]): Promise<string>;
  /**
   * Clicks the visible button (or menu item, or what the selector names) with this label, once
   * there is one.
   */
  click(label: string, selector?: string): Promise<void>;
  close(): Promise<void>;
}

/** By the names that set-up looks for. */
function findChromium(): string {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  const files = folders.flatMap((f) => [join(f, 'chromium'), join(f, 'chromium-browser')]);
  return process.env['CHROMIUM_PATH'] ?? files.find(existsSync) ?? '/usr/bin/chromium';
}

/**
 * @param folder gets the browser's own data, and a screenshot of each page that lacked something.
 */
export async function openWebUi(uiUrl: string, folder: string): Promise<WebUi> {
  const shots = join(folder, 'screenshots');
  mkdirSync(shots, { recursive: true });
  const browser: Browser = await puppeteer.launch({
    executablePath: findChromium(),
    args: FLAGS,
    userDataDir: join(folder, 'chromium'),
    timeout: PATIENCE_MS,
    protocolTimeout: PATIENCE_MS,
  });
  const page = await browser.newPage();
  await page.setViewport({ width: 1400, height: 1000 });
  let count = 0;
  const patient = { waitUntil: 'domcontentloaded', timeout: PATIENCE_MS } as const;
  const ui: WebUi = {
    visit: async (url) => (await page.goto(url, patient))?.status(),
    async expect(path, ...texts) {
      await ui.visit(`${uiUrl}/namespaces/default/${path}`);
      return ui.shows(...texts);
    },
    async shows(...texts) {
      let text = '';
      const missing = () => texts.filter((wanted) => !text.includes(wanted));
      const look = async () => {
        text = await visibleText(page);
        return missing().length === 0;
      };
      try {
        await waitUntil('the texts', look, { timeoutMs: PATIENCE_MS, intervalMs: 100 });
        return text;
      } catch (cause) {
        const shot = join(shots, `${(count += 1)}.png`) as `${string}.png`;
        await page.screenshot({ path: shot, fullPage: true });
        const what = missing()
          .map((wanted) => JSON.stringify(wanted))
          .join(', ');
        throw new Error(`${page.url()} does not show ${what} (${shot}), but:\n${text}`, { cause });
      }
    },
    async click(label, selector = 'button, [role=menuitem]') {
      // The pages hold hidden twins of most buttons, and puppeteer's own click takes the first.
      const click = `(() => {
        const all = [...document.querySelectorAll(${JSON.stringify(selector)})];
        const label = ${JSON.stringify(label)};
        const one = all.find((e) => e.checkVisibility() && e.innerText.includes(label));
        one?.click();
        return one !== undefined;
      })()`;
      const look = async () => (await page.evaluate(click)) === true;
      await waitUntil(`a visible "${label}" (${selector})`, look, { timeoutMs: PATIENCE_MS });
    },
    close: () => browser.close(),
  };
  return ui;
}

async function visibleText(page: Page): Promise<string> {
  const texts = page.frames().map((frame) =>
    // A frame may be replaced while it is read.
    frame.evaluate('document.body.innerText').catch(() => ''),
  );
  return (await Promise.all(texts)).join('\n');
}
