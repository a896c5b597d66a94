import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vitest/config'
import { modulePath } from './tests/support/modulePath.ts'

/** The test processes share the cores: threads of their own would wait for each other, and took half of all time. */
const shared = { LESA_THREADS: '1' }

/**
 * The engine's arrays come and go fast, and each time they fill the heap that V8 begins with, it looks through all that
 * Vitest has in it. In the program's own processes that is little.
 */
const execArgv = ['--initial-old-space-size=1024']

/** The program's settings and caches, apart from those of whoever runs the tests. */
const env = { ...shared, LESA_USER_DATA: join(tmpdir(), 'lesa-test-user') }

const source = (folder: string) => resolve(import.meta.dirname, 'src', folder)
const alias = { '@shared': source('shared'), '@system': source('system') }

export default defineConfig({
  resolve: { alias },
  test: {
    reporters: ['default', './tests/support/countReporter.ts'],
    // Each with engines, browsers and command lines of its own: what a small machine bears.
    maxWorkers: 2,
    pool: 'forks',
    projects: [
      {
        resolve: { alias },
        plugins: [modulePath()],
        test: {
          name: 'unit',
          env: shared,
          execArgv,
          include: ['tests/unit/**/*.test.ts'],
          environment: 'node',
          pool: 'forks',
          testTimeout: 60_000,
        },
      },
      {
        resolve: { alias },
        plugins: [vue()],
        test: {
          name: 'component',
          include: ['tests/component/**/*.test.ts'],
          environment: 'happy-dom',
          pool: 'forks',
          // Vue and its packages are loaded once, not for each file, which took four fifths of the time.
          isolate: false,
        },
      },
      {
        resolve: { alias },
        plugins: [modulePath()],
        test: {
          name: 'integration',
          env,
          execArgv,
          include: ['tests/integration/**/*.test.ts'],
          environment: 'node',
          pool: 'forks',
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        resolve: { alias },
        plugins: [modulePath()],
        test: {
          name: 'e2e',
          env,
          include: ['tests/e2e/**/*.test.ts'],
          // Starts what `npm run package` left in `dist`, which may be anything unless that has just been run.
          exclude: process.env['LESA_REQUIRE'] === 'packaged' ? [] : ['tests/e2e/packaged.test.ts'],
          environment: 'node',
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
})
