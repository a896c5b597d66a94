import { resolve } from 'node:path'
import js from '@eslint/js'
import { createNodeResolver, importX } from 'eslint-plugin-import-x'
import prettier from 'eslint-config-prettier'
import vue from 'eslint-plugin-vue'
import globals from 'globals'
import tseslint from 'typescript-eslint'

/**
 * The engine's folders from the ground up: each may import those of the lines before its own, and none beside it.
 */
const ENGINE_LAYERS = [
  ['lib'],
  ['onnx', 'architectures'],
  ['checkpoint'],
  ['alignment', 'decoder', 'stages', 'synthesis', 'training'],
  ['evaluation', 'lesa'],
  ['corpus', 'generation'],
  ['pretraining'],
  ['fitting'],
  ['recipes'],
  ['growth'],
  ['analysis', 'descent', 'export'],
  ['race', 'places'],
  ['costs', 'queries'],
  ['jobs'],
  ['process'],
]

const engineZones = ENGINE_LAYERS.flatMap((layer, level) =>
  layer.map((folder) => ({
    target: `./src/main/engine/${folder}`,
    from: './src/main/engine',
    except: [...ENGINE_LAYERS.slice(0, level).flat(), folder].map((name) => `./${name}`),
  })),
)

/**
 * What each of the window's folders may import beside itself. Charts stand on the controls, because their frame has
 * buttons; they know neither the program nor a store. What knows a store (pickers of folders, the shell) is a component,
 * what does not is in `components/ui`. Places have their names in `lib`: only the router knows the views behind them.
 */
const WINDOW_IMPORTS = {
  strings: [],
  lib: ['strings'],
  api: ['lib'],
  'components/ui': ['lib', 'strings'],
  charts: ['components/ui', 'lib', 'strings'],
  stores: ['api', 'lib', 'strings'],
  composables: ['stores', 'api', 'lib', 'strings'],
  components: ['charts', 'composables', 'stores', 'api', 'lib', 'strings'],
  views: ['components', 'charts', 'composables', 'stores', 'api', 'lib', 'strings'],
  router: ['views', 'lib'],
}

const windowZones = Object.entries(WINDOW_IMPORTS).map(([folder, others]) => ({
  target: `./src/renderer/src/${folder}`,
  from: './src/renderer/src',
  except: [folder, ...others].map((name) => `./${name}`),
}))

/** Who may import what: renderer and preload see only shared; the engine never sees the shell around it. */
const zones = [
  { target: './src/shared', from: './src', except: ['./shared'] },
  { target: './src/system', from: './src', except: ['./system', './shared'] },
  { target: './src/renderer', from: './src', except: ['./renderer', './shared'] },
  { target: './src/preload', from: './src', except: ['./preload', './shared'] },
  { target: './src/main/engine', from: './src/main', except: ['./engine'] },
  { target: './src/main/engine', from: './src/renderer' },
  ...engineZones,
  ...windowZones,
  {
    target: [
      './src/main/app',
      './src/main/ipc',
      './src/main/host',
      './src/main/jobs',
      './src/main/projects',
      './src/main/storage',
    ],
    from: './src/main/engine',
  },
]

const onlyHere = (names, message) => ({
  'no-restricted-imports': [
    'error',
    { paths: [{ name: 'electron', importNames: names, message }] },
  ],
})

export default tseslint.config(
  { ignores: ['out', 'dist', 'node_modules', 'coverage', 'test-results', '.cache', 'demo-output'] },
  js.configs.recommended,
  {
    files: ['**/*.ts', '**/*.vue'],
    extends: [...tseslint.configs.recommendedTypeChecked, ...vue.configs['flat/recommended']],
    plugins: { 'import-x': importX },
    // Without it no import of a TypeScript file resolves, and the zones below forbid nothing.
    settings: {
      'import-x/resolver-next': [
        createNodeResolver({
          extensions: ['.ts', '.vue', '.js', '.mjs'],
          alias: Object.fromEntries(
            ['shared', 'system'].map((name) => [
              `@${name}`,
              [resolve(import.meta.dirname, 'src', name)],
            ]),
          ),
        }),
      ],
    },
    languageOptions: {
      globals: { ...globals.node },
      parserOptions: {
        parser: tseslint.parser,
        project: ['./tsconfig.node.json', './tsconfig.web.json', './tsconfig.tests.json'],
        tsconfigRootDir: import.meta.dirname,
        extraFileExtensions: ['.vue'],
      },
    },
    rules: {
      'import-x/no-restricted-paths': ['error', { zones, basePath: import.meta.dirname }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_' },
      ],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
    },
  },
  { files: ['src/renderer/**'], languageOptions: { globals: { ...globals.browser } } },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/main/host/electron.ts', 'src/preload/index.ts'],
    rules: onlyHere(
      ['ipcMain', 'ipcRenderer'],
      'Only src/main/host/electron.ts and src/preload/index.ts talk to Electron IPC.',
    ),
  },
  {
    files: ['src/main/engine/**/*.ts'],
    rules: { 'no-restricted-imports': ['error', { paths: ['electron'] }] },
  },
  { files: ['tests/**/*.ts'], rules: { '@typescript-eslint/unbound-method': 'off' } },
  { files: ['**/*.js', '**/*.mjs'], languageOptions: { globals: { ...globals.node } } },
  prettier,
)
