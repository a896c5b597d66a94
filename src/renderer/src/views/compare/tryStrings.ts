/** What the panel says that continues a text with the chosen models. */
export const TRY = {
  title: 'Try it',
  note: 'The chosen models continue a text, one after another: what a model is good for shows in what it writes. One text proves nothing; perplexity is the measure.',
  prompt: 'Text to continue',
  placeholder: 'The beginning of a text of the kind that the model knows',
  promptError: (most: string) => `At most ${most} characters.`,
  how: 'How the next token is chosen',
  greedy: 'Likeliest',
  greedyTitle: 'Always the likeliest token: the same text each time.',
  sampled: 'Sampled',
  sampledTitle: 'Drawn by probability, with the same random numbers for every model.',
  tokens: 'Tokens',
  temperature: 'Temperature',
  topK: 'Top-k',
  topP: 'Top-p',
  any: 'Empty for all.',
  seed: 'Seed',
  device: 'Device',
  start: (count: number) =>
    count === 1 ? 'Continue with 1 model' : `Continue with ${count} models`,
  stop: 'Stop',
  stopping: 'Stopping…',
  nothingChosen: 'Choose models in the table.',
  tooMany: (most: number) => `Only the first ${most} of the chosen models are tried.`,
  noTokenizer: 'The folder of the base model has no tokenizer: no text can be continued.',
  queued: 'Waiting for its turn',
  writing: 'Writing',
  cancelled: 'Stopped. What was written until then:',
  failed: 'The text could not be continued',
  texts: 'Continuations',
  facts: (layers: number, tokens: string, speed: string | null) =>
    [`${layers} layers`, tokens, ...(speed === null ? [] : [`${speed} a token`])].join(' · '),
  tokenCount: (count: number) =>
    `${count.toLocaleString('en')} ${count === 1 ? 'token' : 'tokens'}`,
  ends: {
    tokens: '',
    end_of_text: 'ended the text',
    context: 'filled its context',
  },
  streamed: 'weights read again for each token',
  waits: 'Not begun',
  endMark: 'end of text',
  otherTokenizer: 'another tokenizer: only the text can be compared',
  differs: (count: number, all: number) =>
    count === 0
      ? `After the same text, the likeliest next token is the same at all ${all} places.`
      : `After the same text, the likeliest next token differs at ${count} of ${all} places (marked).`,
  places: (name: string) => `${name}, token by token`,
  token: (text: string, place: number) => `Token ${place}: ${text}`,
  differsHere: 'models differ',
  parts: 'here the texts part',
  likeliest: 'What comes next',
  after: (text: string) => `After “${text}”:`,
  written: (text: string) => `“${text}” was written.`,
  probability: 'Probability of each model’s likeliest tokens',
  model: 'Model',
  rank: (rank: number) => (rank === 1 ? 'Likeliest' : `${rank}.`),
  ofWritten: 'The written one',
} as const

/** A token as it can be seen: a line end and a tab have signs, and blanks stay. */
export function shownToken(text: string): string {
  return text.replace(/\r?\n/g, '⏎').replace(/\t/g, '⇥')
}
