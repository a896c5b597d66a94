/**
 * @file `npm run screenshots`: pictures of every view at two sizes and in both themes, from real runs of the demo model
 * in a real browser. The five that the README shows go to docs/screenshots, all of them to test-results/screenshots.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'
import { ensureReady, root } from './lib/setup.mjs'

const SIZES = [
  { width: 1440, height: 900 },
  { width: 1024, height: 700 },
]
const THEMES = ['light', 'dark']
/** What the README shows, by the picture it is taken from. */
const SHOWN = {
  'plan.png': '1440-light-plan.png',
  'run.png': '1440-light-run-live.png',
  'layers.png': '1440-dark-layers.png',
  'compare.png': '1440-light-compare.png',
  'train.png': '1440-light-train.png',
}

await ensureReady()
const out = join(root, 'test-results', 'screenshots')
const docs = join(root, 'docs', 'screenshots')
for (const folder of [out, docs]) mkdirSync(folder, { recursive: true })
const home = mkdtempSync(join(tmpdir(), 'lesa-screenshots-'))

const server = spawn(process.execPath, [join(root, 'out/main/cli.js'), 'serve', '--port', '0'], {
  stdio: ['ignore', 'pipe', 'ignore'],
  env: {
    ...process.env,
    HOME: home,
    USERPROFILE: home,
    APPDATA: join(home, 'user'),
    XDG_CONFIG_HOME: join(home, 'user'),
    LESA_USER_DATA: '',
  },
})
const [url] = await once(createInterface(server.stdout), 'line')
const browser = await chromium.launch({
  executablePath: findChromium(),
  args: ['--no-sandbox', '--disable-gpu', '--force-device-scale-factor=1'],
})
try {
  const place = await prepare()
  for (const size of SIZES) for (const theme of THEMES) await photograph(place, size, theme)
  for (const [to, from] of Object.entries(SHOWN)) copyFileSync(join(out, from), join(docs, to))
} finally {
  await browser.close()
  const ended = once(server, 'exit')
  server.kill()
  await ended
  rmSync(home, { recursive: true, force: true })
}

/** The demo project with four finished runs, measured, one of them exported; answers its place in the window. */
async function prepare() {
  const page = await openPage(SIZES[0], 'light')
  await page.getByRole('button', { name: /Try the demo/ }).click()
  await page.waitForURL(/#\/project\//)
  const place = page
    .url()
    .split('#')[1]
    .replace(/\/model.*$/, '')
  for (const method of ['SOLAR', 'Neighbour mean', 'LLaMA Pro']) {
    await choose(page, method)
    await run(page, method)
  }
  await choose(page, 'LESA')
  await setTraining(page, { steps: 1500 })
  say('LESA, which takes a minute or two')
  await run(page, 'LESA, 1,500 steps')
  say('a race of four starts')
  await train(page)
  say('perplexity')
  await go(page, `${place}/compare`)
  await page.getByRole('button', { name: /^Measure \d+ models/ }).click()
  await page.getByRole('columnheader', { name: /Perplexity/ }).waitFor({ timeout: 300_000 })
  await page.getByRole('button', { name: /^Measure \d+ models/ }).waitFor()
  say('export')
  await go(page, `${place}/export`)
  await chooseOutput(page)
  await page.getByRole('button', { name: 'Export', exact: true }).click()
  await page.getByText('was read back and is what it should be').waitFor()
  await page.context().close()
  return place
}

/** Every view once. */
async function photograph(place, size, theme) {
  say(`${size.width}×${size.height}, ${theme}`)
  const page = await openPage(size, theme)
  const shoot = async (name) => {
    // Web fonts there are none; drawings are made in the next frames.
    await page.evaluate(
      () =>
        new Promise((done) =>
          globalThis.requestAnimationFrame(() => globalThis.requestAnimationFrame(done)),
        ),
    )
    await page.screenshot({ path: join(out, `${size.width}-${theme}-${name}.png`) })
  }
  await page.getByText('Demo', { exact: true }).first().waitFor()
  await shoot('start')
  await go(page, '/settings')
  await page
    .getByRole('region', { name: /device/i })
    .first()
    .waitFor({ timeout: 60_000 })
  await shoot('settings')
  await go(page, `${place}/model`)
  await page.getByText('gate_proj').first().waitFor()
  await page.waitForFunction(() => !globalThis.document.querySelector('main [aria-busy="true"]'))
  await shoot('model')
  await go(page, `${place}/plan`)
  await page.getByText('Neighbour mean').first().waitFor()
  await page.getByText('2.49 M').first().waitFor()
  await shoot('plan')
  await go(page, `${place}/parameters`)
  await page.getByText('Learning rate').first().waitFor()
  await shoot('parameters')
  await go(page, `${place}/run?run=new`)
  await page.getByText('at its peak').first().waitFor()
  await shoot('run-new')
  await go(page, `${place}/run?run=004-lesa`)
  await page.getByText('What next').waitFor()
  await shoot('run')
  await page.locator('.uplot').waitFor()
  await page.getByRole('heading', { name: 'Training', exact: true }).scrollIntoViewIfNeeded()
  await page.getByRole('group', { name: /^Training loss/ }).scrollIntoViewIfNeeded()
  await shoot('run-curves')
  await shootLiveRun(page, place, shoot)
  await go(page, `${place}/layers?run=004-lesa`)
  await page.getByText('The plane holds').waitFor()
  await shoot('layers')
  await page.getByRole('figure', { name: 'Norm by depth' }).scrollIntoViewIfNeeded()
  await shoot('layers-depth')
  await page
    .getByRole('figure', { name: /^Predictor’s error/ })
    .last()
    .scrollIntoViewIfNeeded()
  await shoot('layers-predictor')
  await go(page, `${place}/train?training=new`)
  await page.getByText('at its peak').first().waitFor()
  await shoot('train-new')
  await go(page, `${place}/train?training=001-training`)
  await page.getByText('What became of each').waitFor()
  await page
    .getByRole('group', { name: /^Loss of / })
    .first()
    .waitFor()
  await shoot('train')
  await page.getByRole('heading', { name: 'Steps to the same loss' }).scrollIntoViewIfNeeded()
  await shoot('train-reached')
  await go(page, `${place}/compare`)
  await page.getByRole('columnheader', { name: /Perplexity/ }).waitFor()
  await shoot('compare')
  await page.getByText('Only what differs').scrollIntoViewIfNeeded()
  await shoot('compare-settings')
  await go(page, `${place}/export?run=004-lesa`)
  // What an export came to is told of the place that is chosen.
  await chooseOutput(page)
  await page.getByText('bit-identical').first().waitFor()
  await shoot('export')
  await page.context().close()
}

/** A run while it trains; taken out again afterwards. */
async function shootLiveRun(page, place, shoot) {
  await setTraining(page, { steps: 2_000 }, place)
  await go(page, `${place}/run?run=new`)
  await page.getByRole('button', { name: /^(Run|Add to queue)$/ }).click()
  const article = page.getByRole('article')
  // Three curves and a half.
  const row = article.getByRole('row', { name: /^o_proj done, .*running, [2-9]\d %/ })
  await row.waitFor({ timeout: 300_000 })
  await shoot('run-live')
  await article.getByRole('button', { name: 'Cancel' }).click()
  await article.getByText('Cancelled', { exact: true }).waitFor()
  await article.getByRole('button', { name: 'More actions' }).click()
  await page.getByRole('menuitem', { name: /^Delete run/ }).click()
  await page.getByRole('button', { name: /^Delete “/ }).click()
  await article.waitFor({ state: 'hidden' })
  await page.getByRole('log', { name: 'Messages' }).getByRole('button', { name: 'Close' }).click()
}

async function chooseOutput(page) {
  await page.getByRole('button', { name: 'Choose where to write' }).click()
  await page.getByRole('dialog').getByRole('list').first().waitFor()
  await page.getByRole('button', { name: 'Choose this folder' }).click()
}

async function choose(page, method) {
  await go(page, `${placeOf(page)}/plan`)
  const card = page.locator('label').filter({ has: page.getByText(method, { exact: true }) })
  await card.first().click()
}

/** Mini-batches per weight type, with a layer kept out of training. */
async function setTraining(page, { steps }, place = placeOf(page)) {
  await go(page, `${place}/parameters`)
  await page.locator('label').filter({ hasText: 'Matched' }).first().click()
  await page.getByLabel('Length', { exact: true }).fill(String(steps))
  const advanced = page.locator('details.advanced')
  await advanced.evaluate((details) => {
    details.open = true
  })
  await page.getByLabel('Held-out layers', { exact: true }).fill('some')
}

async function run(page, name) {
  await go(page, `${placeOf(page)}/run?run=new`)
  await page.getByLabel('Name', { exact: true }).fill(name)
  await page.getByRole('button', { name: /^(Run|Add to queue)$/ }).click()
  await page.getByText('What next').waitFor({ timeout: 600_000 })
}

/** The grown models on a text that the base does not know, watched for forgetting. */
async function train(page) {
  await go(page, `${placeOf(page)}/train?training=new`)
  await page.getByText('What is trained').waitFor()
  const text = join(root, 'resources', 'demo-texts', 'manual.txt')
  await page.getByRole('button', { name: 'Add texts…' }).click()
  await page.getByRole('dialog').locator('input[type=file]').setInputFiles(text)
  await page.getByRole('dialog').waitFor({ state: 'hidden' })
  await page.getByRole('checkbox', { name: 'Train on eval.txt' }).click()
  const known = await page
    .getByRole('option', { name: /^eval\.txt/ })
    .first()
    .getAttribute('value')
  await page.getByLabel('Watch forgetting on').selectOption(known)
  // Of another depth, and so not chosen by itself.
  await page.getByRole('checkbox', { name: 'Train LLaMA Pro' }).check()
  await page.locator('summary', { hasText: 'All settings' }).click()
  await page.getByLabel('Learning rates', { exact: true }).fill('1e-3')
  await page.getByLabel('Output rate factor', { exact: true }).fill('10')
  await page.getByLabel('Name', { exact: true }).fill('Four starts on new text')
  await page.getByRole('button', { name: /^Train 4 models/ }).click()
  await page.getByText('What became of each').waitFor({ timeout: 900_000 })
}

function placeOf(page) {
  return /#(\/project\/[0-9a-f]{16})/.exec(page.url())?.[1] ?? '/'
}

async function go(page, place) {
  await page.evaluate((hash) => {
    globalThis.location.hash = hash
  }, place)
}

async function openPage(viewport, colorScheme) {
  const context = await browser.newContext({ viewport, colorScheme, reducedMotion: 'reduce' })
  const page = await context.newPage()
  await page.goto(url)
  await page.getByRole('button', { name: /Try the demo/ }).waitFor()
  return page
}

function findChromium() {
  if (process.env.LESA_CHROMIUM) return process.env.LESA_CHROMIUM
  const suffix = process.platform === 'win32' ? '.exe' : ''
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'chrome', 'msedge']
  const found = (process.env.PATH ?? '')
    .split(delimiter)
    .flatMap((folder) => names.map((name) => join(folder, name + suffix)))
    .find((path) => existsSync(path))
  if (!found) throw new Error('There is no Chromium: set LESA_CHROMIUM to its executable.')
  return found
}

function say(text) {
  process.stderr.write(`screenshots: ${text}\n`)
}
