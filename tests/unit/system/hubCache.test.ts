import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { hubPlaceOf, isRepositoryId, modelLabelOf, modelNameOf } from '../../../src/shared/hub'
import {
  hubCacheFolder,
  hubPlaceAt,
  listHubCache,
  modelFolderOf,
} from '../../../src/system/hubCache'
import { refuseHarm } from '../../../src/system/harm'
import { writeTinyCheckpoint } from '../../support/checkpoints'
import { cacheModel, REVISION } from '../../support/hubCache'
import { tempFolder } from '../../support/tempFolder'

let root: string
let cache: string
let model: string

beforeEach(async () => {
  root = await tempFolder()
  cache = join(root, 'hub')
  model = await writeTinyCheckpoint({ dir: join(root, 'model') })
})

describe('where the cache is', () => {
  it('is what the hub’s own tools take it to be', () => {
    expect(hubCacheFolder({ HF_HUB_CACHE: '/a', HF_HOME: '/b' })).toBe('/a')
    expect(hubCacheFolder({ HF_HOME: '/b', XDG_CACHE_HOME: '/c' })).toBe(join('/b', 'hub'))
    expect(hubCacheFolder({ XDG_CACHE_HOME: '/c' })).toBe(join('/c', 'huggingface', 'hub'))
    expect(hubCacheFolder({ HF_HUB_CACHE: ' ', HF_HOME: '~/hf' })).toBe(
      join(homedir(), 'hf', 'hub'),
    )
    expect(hubCacheFolder({})).toBe(join(homedir(), '.cache', 'huggingface', 'hub'))
  })
})

describe('a name', () => {
  it('is the id on the hub, with the revision, for what lies in a cache', () => {
    const path = `/x/models--Qwen--Qwen2-0.1B/snapshots/${REVISION}`
    expect(hubPlaceOf(`${path}/config.json`)).toEqual({
      repository: 'Qwen/Qwen2-0.1B',
      revision: REVISION,
    })
    expect(modelNameOf(path)).toBe('Qwen/Qwen2-0.1B')
    expect(modelLabelOf(path)).toBe('Qwen/Qwen2-0.1B @ 8faed761')
    expect(modelNameOf('C:\\hub\\models--gpt2\\snapshots\\main')).toBe('gpt2')
    expect(modelNameOf('/models/Tiny-1B/')).toBe('Tiny-1B')
    expect(hubPlaceOf('/x/models--a--b--c--d/snapshots/1')).toBeNull()
  })

  it('can be an id where the hub allows it', () => {
    for (const id of ['gpt2', 'Qwen/Qwen2-0.1B', 'a/b_c.d']) expect(isRepositoryId(id)).toBe(true)
    for (const text of [
      '',
      '/a',
      'a/',
      'a/b/c',
      'a b/c',
      '../x',
      'a--b',
      './a',
      'a/b.git',
      '~/a',
    ]) {
      expect(isRepositoryId(text), text).toBe(false)
    }
  })

  it('is found through a link that leads into the cache', async () => {
    const snapshot = await cacheModel({ cache, model, repository: 'org/tiny' })
    const link = join(root, 'my-model')
    await symlink(snapshot, link)
    expect(hubPlaceAt(link)?.repository).toBe('org/tiny')
    expect(hubPlaceAt(model)).toBeNull()
  })
})

describe('what the cache holds', () => {
  it('is listed by repository, the branch main first, with layers and size', async () => {
    const older = 'b'.repeat(40)
    await cacheModel({ cache, model, repository: 'org/tiny', revision: older, ref: null })
    const main = await cacheModel({ cache, model, repository: 'org/tiny' })
    await mkdir(join(cache, 'datasets--org--text', 'snapshots', older), { recursive: true })
    const { folder, models } = await listHubCache(cache)
    expect(folder).toBe(cache)
    expect(models).toMatchObject([
      { repository: 'org/tiny', revision: REVISION, refs: ['main'], path: main, layers: 4 },
      { repository: 'org/tiny', revision: older, refs: [], layers: 4 },
    ])
    expect(models[0]).toMatchObject({ modelType: 'llama', missing: [], problem: null })
    expect(models[0]?.bytes).toBeGreaterThan(1_000)
  })

  it('says of an interrupted download what is missing', async () => {
    const snapshot = await cacheModel({ cache, model, repository: 'org/tiny' })
    await rm(join(dirname(dirname(snapshot)), 'blobs', `${REVISION.slice(0, 6)}-model.safetensors`))
    expect((await listHubCache(cache)).models).toMatchObject([
      { missing: ['model.safetensors'], problem: 'Incomplete: 1 file is missing.' },
    ])
  })

  it('is nothing where there is no cache, or none that can be read', async () => {
    expect((await listHubCache(join(root, 'nowhere'))).models).toEqual([])
    await mkdir(join(cache, 'models--org--broken'), { recursive: true })
    await writeFile(join(cache, 'models--org--file'), '')
    expect((await listHubCache(cache)).models).toEqual([])
  })
})

describe('the folder that is meant', () => {
  it('is the snapshot of a repository’s folder, of an id, and of an id with a revision', async () => {
    const other = `c0ffee${'0'.repeat(34)}`
    const main = await cacheModel({ cache, model, repository: 'org/tiny' })
    const second = await cacheModel({
      cache,
      model,
      repository: 'org/tiny',
      revision: other,
      ref: 'v2',
    })
    const repository = dirname(dirname(main))
    const page = 'https://huggingface.co/org/tiny'
    const ids = ['org/tiny', 'org/tiny@main', page, `${page}/tree/main`, 'hf.co/org/tiny']
    for (const given of [repository, join(repository, 'snapshots'), ...ids]) {
      expect(await modelFolderOf(given, root, cache), given).toBe(main)
    }
    for (const given of [
      `${page}/tree/v2`,
      'org/tiny@v2',
      'org/tiny@c0ffee',
      `org/tiny@${other}`,
    ]) {
      expect(await modelFolderOf(given, root, cache), given).toBe(second)
    }
    expect(await modelFolderOf('org/tiny@nothing', root, cache)).toBe(
      join(root, 'org', 'tiny@nothing'),
    )
  })

  it('is the folder around a file of weights, an index or a config', async () => {
    await writeFile(join(model, 'model.safetensors.index.json'), '{}')
    await writeFile(join(model, 'notes.txt'), '')
    for (const name of ['model.safetensors', 'model.safetensors.index.json', 'config.json']) {
      expect(await modelFolderOf(join(model, name), root, cache)).toBe(model)
    }
    expect(await modelFolderOf(join(model, 'notes.txt'), root, cache)).toBe(
      join(model, 'notes.txt'),
    )
  })

  it('is the path itself where it exists, also when an id has its name', async () => {
    await cacheModel({ cache, model, repository: basename(model) })
    expect(await modelFolderOf('model', root, cache)).toBe(model)
    expect(await modelFolderOf('elsewhere', root, cache)).toBe(join(root, 'elsewhere'))
  })
})

describe('an output', () => {
  it('never goes into the cache, nor around it', () => {
    const folder = hubCacheFolder()
    for (const out of [folder, join(folder, 'models--a--b', 'out'), dirname(folder)]) {
      expect(() => refuseHarm(out, []), out).toThrow(
        expect.objectContaining({ code: 'path_denied' }),
      )
    }
  })
})
