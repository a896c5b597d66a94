import type { EngineCalls } from '@shared/engineProtocol'
import { estimate } from '../costs/estimate'
import { engineVersions } from '../lib/version'
import { probeDevices } from '../onnx/devices'
import { readConfigText, tensorTable } from '../queries/describe'
import { previewExport } from '../queries/exportPreview'
import { previewGrowth } from '../queries/growthPreview'
import { fingerprintOf, identifyModel } from '../queries/identity'
import { inspectModel } from '../queries/inspect'
import { projectDirections } from '../queries/projectDirections'
import { describeRecipes } from '../queries/recipes'
import { tensorDetails } from '../queries/tensorDetails'

/** Questions outside of jobs: short, or at least harmless to ask again. */
export const engineCalls: EngineCalls = {
  inspect: (path) => inspectModel(path),
  devices: () => probeDevices(),
  versions: () => engineVersions(),
  identify: (path) => identifyModel(path),
  fingerprint: (path) => fingerprintOf(path),
  config: (path) => readConfigText(path),
  tensors: (path) => tensorTable(path),
  tensor: (path, name) => tensorDetails(path, name),
  growth: (path, settings) => previewGrowth(path, settings),
  estimate: (request) => estimate(request),
  projection: (request) => projectDirections(request),
  recipes: (folder) => describeRecipes(folder),
  exportPreview: (spec) => previewExport(spec),
}
