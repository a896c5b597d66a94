import type { AppInfo } from '@shared/contract'
import type { ModelSummary } from '@shared/model'

export function appInfo(changes: Partial<AppInfo> = {}): AppInfo {
  return {
    version: '1.2.3',
    host: 'browser',
    platform: 'linux',
    pathSeparator: '/',
    home: '/home/someone',
    projectsFolder: '/home/someone/LESA Workbench',
    hasSystemTrash: false,
    canReveal: false,
    demoModel: '/program/demo-model',
    demoText: '/program/demo-model/eval.txt',
    ...changes,
  }
}

/** A model of the bundled one's shape. */
export function modelSummary(changes: Partial<ModelSummary> = {}): ModelSummary {
  return {
    path: '/models/base',
    architecture: 'LlamaForCausalLM',
    model_type: 'llama',
    supported: true,
    num_hidden_layers: 12,
    hidden_size: 128,
    intermediate_size: 344,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    vocab_size: 512,
    max_position_embeddings: 256,
    tie_word_embeddings: false,
    parameters: 2_494_720,
    parameters_per_layer: 181_504,
    dtypes: { BF16: 2_494_720 },
    bytes: 4_989_440,
    shards: [{ file: 'model.safetensors', bytes: 5_000_000 }],
    tensors: 111,
    has_tokenizer: true,
    remarks: [],
    ...changes,
  }
}
