import { AppError } from '@shared/errors'
import { PRESET_SETTINGS } from '@shared/predictorSettings'
import { DEFAULT_DRAFT, type ProjectDraft } from '@shared/projects'
import { flushPromises } from '@vue/test-utils'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { useParametersStore } from '../../../src/renderer/src/stores/parameters'
import { usePlanStore } from '../../../src/renderer/src/stores/plan'
import { useProjectStore } from '../../../src/renderer/src/stores/project'
import { activatePinia, FakeTransport, type Answers } from '../../support/fakeTransport'
import { PROJECT_ID, projectView } from '../../support/projects'

const growth = {
  layersBefore: 12,
  layersAfter: 18,
  parametersBefore: 1,
  parametersAfter: 2,
  bytesBefore: 1,
  bytesAfter: 2,
  configChanges: [],
  warnings: [],
}

/** The program, keeping one project's draft. */
async function setUp(answers: Answers = {}) {
  let stored: ProjectDraft = DEFAULT_DRAFT
  const saves: ProjectDraft[] = []
  const transport = new FakeTransport({
    'projects:get': (id) => projectView({ id, draft: stored }),
    'projects:update': (id, patch) => {
      stored = patch.draft ?? stored
      saves.push(stored)
      return projectView({ id, draft: stored })
    },
    'models:growth': () => growth,
    ...answers,
  })
  activatePinia(transport)
  const project = useProjectStore()
  const plan = usePlanStore()
  const parameters = useParametersStore()
  await project.load(PROJECT_ID)
  await flushPromises()
  return { project, plan, parameters, transport, saves }
}

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('the draft', () => {
  it('is the project’s, and lays out the grown model', async () => {
    const { plan } = await setUp()
    expect(plan.plan?.layers).toHaveLength(18)
    expect(plan.settings.method).toMatchObject({ name: 'lesa' })
    plan.edit({ method: 'solar', overlap: 2 })
    expect(plan.plan?.layers).toHaveLength(20)
  })

  it('says why a plan cannot be', async () => {
    const { plan } = await setUp()
    plan.edit({ gaps: [11] })
    expect(plan.plan).toBeNull()
    expect(plan.problem).toMatchObject({ code: 'bad_request', context: { field: 'gaps' } })
    plan.edit({ method: 'interpolation' })
    expect(plan.plan?.layers).toHaveLength(13)
  })

  it('is asked about once, though the project is asked how its model is when that is refused', async () => {
    let asked = 0
    const { plan, transport } = await setUp({
      // As it comes over the wire: nothing of it is the same object again.
      'projects:get': (id) => structuredClone(projectView({ id })),
      'models:growth': (path) => {
        asked += 1
        throw new AppError('unsupported_architecture', 'Not these layers.', {
          context: { file: path },
        })
      },
    })
    await vi.advanceTimersByTimeAsync(5_000)
    expect(asked).toBe(1)
    expect(plan.growthError).toMatchObject({ message: 'Not these layers.' })
    transport.push('projects:changed', structuredClone(projectView({ id: PROJECT_ID })))
    await vi.advanceTimersByTimeAsync(5_000)
    expect(asked).toBe(1)
    expect(plan.growthError).not.toBeNull()
  })

  it('is saved once things have come to rest', async () => {
    const { plan, saves } = await setUp()
    plan.edit({ overlap: 1 })
    plan.edit({ overlap: 2 })
    expect(saves).toEqual([])
    await vi.advanceTimersByTimeAsync(1_000)
    expect(saves).toEqual([{ ...DEFAULT_DRAFT, overlap: 2 }])
    expect(plan.isUnsaved).toBe(false)
    expect(plan.canUndo).toBe(true)
  })

  it('stays unsaved, with the reason, when saving fails, and is saved with the next change', async () => {
    let isFull = true
    const { plan } = await setUp({
      'projects:update': (id, patch) => {
        if (isFull) throw new AppError('write_failed', 'The disk is full.')
        return projectView({ id, draft: patch.draft ?? DEFAULT_DRAFT })
      },
    })
    plan.edit({ overlap: 1 })
    await plan.flush()
    expect(plan.saveError?.code).toBe('write_failed')
    expect(plan.isUnsaved).toBe(true)
    isFull = false
    plan.edit({ overlap: 2 })
    await plan.flush()
    expect(plan.saveError).toBeNull()
    expect(plan.draft.overlap).toBe(2)
  })

  it('is saved to the project it belongs to when another one is opened at once', async () => {
    const updated: string[] = []
    const { plan, project } = await setUp({
      'projects:update': (id, patch) => {
        updated.push(id)
        return projectView({ id, draft: patch.draft ?? DEFAULT_DRAFT })
      },
    })
    plan.edit({ overlap: 1 })
    await project.load('f'.repeat(16))
    await flushPromises()
    expect(updated).toEqual([PROJECT_ID])
    expect(project.id).toBe('f'.repeat(16))
    expect(plan.draft).toEqual(DEFAULT_DRAFT)
    expect(plan.canUndo).toBe(false)
  })

  it('follows another window, but not into what is being edited here', async () => {
    const { plan, transport } = await setUp()
    const theirs = (overlap: number) => projectView({ draft: { ...DEFAULT_DRAFT, overlap } })
    transport.push('projects:changed', theirs(3))
    await flushPromises()
    expect(plan.draft.overlap).toBe(3)
    plan.edit({ overlap: 4 })
    transport.push('projects:changed', theirs(5))
    await flushPromises()
    expect(plan.draft.overlap).toBe(4)
  })

  it('is undone and redone across both views, and saved as it stands', async () => {
    const { plan, parameters, saves } = await setUp()
    plan.edit({ method: 'noise' })
    parameters.choosePreset('matched')
    plan.undo()
    expect(plan.draft).toMatchObject({ method: 'noise', preset: 'paper' })
    plan.undo()
    expect(plan.draft).toEqual(DEFAULT_DRAFT)
    plan.redo()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(saves.at(-1)).toMatchObject({ method: 'noise', preset: 'paper' })
  })

  it('goes no further back than its start, and forgets what was undone when something new is done', async () => {
    const { plan } = await setUp()
    plan.edit({ overlap: 1 })
    plan.edit({ overlap: 2 })
    plan.undo()
    plan.undo()
    plan.undo()
    expect(plan.draft).toEqual(DEFAULT_DRAFT)
    expect(plan.canUndo).toBe(false)
    plan.redo()
    expect(plan.draft.overlap).toBe(1)
    plan.edit({ overlap: 3 })
    expect(plan.canRedo).toBe(false)
    plan.redo()
    expect(plan.draft.overlap).toBe(3)
    plan.undo()
    expect(plan.draft.overlap).toBe(1)
  })

  it('takes a slider’s way as one step to undo, but not what comes after a rest', async () => {
    const { plan } = await setUp()
    for (const overlap of [1, 2, 3]) plan.edit({ overlap }, 'overlap')
    await vi.advanceTimersByTimeAsync(2_000)
    plan.edit({ overlap: 4 }, 'overlap')
    plan.undo()
    expect(plan.draft.overlap).toBe(3)
    plan.undo()
    expect(plan.draft).toEqual(DEFAULT_DRAFT)
    plan.redo()
    expect(plan.draft.overlap).toBe(3)
  })

  it('asks what the plan comes to for the newest plan only', async () => {
    const { plan, transport } = await setUp()
    plan.edit({ method: 'solar', overlap: 1 })
    plan.edit({ method: 'solar', overlap: 2 })
    await vi.advanceTimersByTimeAsync(1_000)
    const asked = transport.calls.filter(({ name }) => name === 'models:growth')
    expect(asked.at(-1)?.args[1]).toMatchObject({ method: { name: 'solar', overlap: 2 } })
    expect(asked.some(({ args }) => JSON.stringify(args).includes('"overlap":1'))).toBe(false)
    expect(plan.growth).toEqual(growth)
  })
})

describe('the parameters', () => {
  it('go into the draft as soon as they are good', async () => {
    const { plan, parameters } = await setUp()
    // As in a new project of a model of this depth.
    plan.edit({ holdout: [6] })
    parameters.type('lambda', '5e-4')
    expect(plan.draft.predictor.lambda).toBe(5e-4)
    expect(parameters.texts.lambda).toBe('5e-4')
    expect(parameters.changed).toEqual(['lambda'])
  })

  it('keep what is typed while it is wrong, and the draft as it was', async () => {
    const { plan, parameters } = await setUp()
    parameters.type('lambda', '1.5')
    await flushPromises()
    expect(parameters.texts.lambda).toBe('1.5')
    expect(parameters.errors.lambda).toContain('0 to 1')
    expect(parameters.isValid).toBe(false)
    expect(plan.draft).toEqual(DEFAULT_DRAFT)
    parameters.type('seed', '7')
    expect(parameters.texts.lambda).toBe('1.5')
    expect(parameters.dropInvalid()).toEqual(['lambda'])
    expect(parameters.texts.lambda).toBe('5e-5')
    expect(parameters.isValid).toBe(true)
  })

  it('are not rewritten under the fingers', async () => {
    const { plan, parameters } = await setUp()
    parameters.type('learningRate', '1e-2')
    await flushPromises()
    expect(plan.draft.predictor.learningRate).toBe(0.01)
    expect(parameters.texts.learningRate).toBe('1e-2')
  })

  it('show what undoing brings back', async () => {
    const { plan, parameters } = await setUp()
    parameters.type('seed', '7')
    plan.undo()
    await flushPromises()
    expect(parameters.texts.seed).toBe('0')
  })

  it('take a whole number’s typing as one step to undo', async () => {
    const { plan, parameters } = await setUp()
    for (const text of ['1', '12', '123']) parameters.type('seed', text)
    plan.undo()
    expect(plan.draft.seed).toBe(0)
  })

  it('go back one by one, or all at once as one step', async () => {
    const { plan, parameters } = await setUp()
    plan.edit({ holdout: [6] })
    parameters.choosePreset('notebook')
    parameters.type('batchSize', '128')
    parameters.type('seed', '7')
    plan.edit({ useSvd: false })
    expect(parameters.changed).toEqual(['batchSize', 'useSvd', 'seed'])
    parameters.reset('batchSize')
    expect(plan.draft.predictor).toEqual(PRESET_SETTINGS.notebook)
    parameters.resetAll()
    expect(parameters.changed).toEqual([])
    plan.undo()
    expect(parameters.changed).toEqual(['useSvd', 'seed'])
  })

  it('of a method that trains nothing are few', async () => {
    const { plan, parameters } = await setUp()
    parameters.type('lambda', 'much')
    plan.edit({ method: 'solar', seed: 3 })
    expect(parameters.changed).toEqual(['seed'])
    expect(parameters.isValid).toBe(true)
  })
})
