import { describe, expect, it } from 'vitest'
import { parseMarkdown } from '../../../../src/renderer/src/views/export/markdown'

const text = (value: string): { kind: 'text'; text: string } => ({ kind: 'text', text: value })

describe('a model card', () => {
  it('begins with its front matter', () => {
    expect(parseMarkdown('---\ntags:\n- a\n---\n\n# Title')).toEqual([
      { kind: 'frontMatter', text: 'tags:\n- a' },
      { kind: 'heading', level: 1, content: [text('Title')] },
    ])
  })

  it('has tables, with bars in cells where they are escaped', () => {
    expect(parseMarkdown('| A | B |\n| --- | --: |\n| 1 | a \\| b |\n| 2 | c |\n\nafter')).toEqual([
      {
        kind: 'table',
        head: [[text('A')], [text('B')]],
        rows: [
          [[text('1')], [text('a | b')]],
          [[text('2')], [text('c')]],
        ],
      },
      { kind: 'paragraph', content: [text('after')] },
    ])
  })

  it('has lists whose items go on in lines that are set in', () => {
    expect(parseMarkdown('- one\n  more\n- two\n\n1. first\n2. second')).toEqual([
      { kind: 'list', isOrdered: false, items: [[text('one more')], [text('two')]] },
      { kind: 'list', isOrdered: true, items: [[text('first')], [text('second')]] },
    ])
  })

  it('has code, strong and emphasised words, and joins the lines of a paragraph', () => {
    expect(parseMarkdown('Use `x` and\n**y** or *z*.')).toEqual([
      {
        kind: 'paragraph',
        content: [
          text('Use '),
          { kind: 'code', text: 'x' },
          text(' and '),
          { kind: 'strong', text: 'y' },
          text(' or '),
          { kind: 'em', text: 'z' },
          text('.'),
        ],
      },
    ])
    expect(parseMarkdown('```sh\n# no heading\n```')).toEqual([
      { kind: 'code', text: '# no heading' },
    ])
  })

  it('links to the web only, and never takes HTML as such', () => {
    expect(
      parseMarkdown('[a](https://huggingface.co) [b](javascript:alert(1)) <script>x</script>'),
    ).toEqual([
      {
        kind: 'paragraph',
        content: [
          { kind: 'link', text: 'a', href: 'https://huggingface.co' },
          text(' '),
          text('b'),
          text(') <script>x</script>'),
        ],
      },
    ])
  })

  it('ends even when a fence or front matter does not', () => {
    expect(parseMarkdown('```\nopen')).toEqual([{ kind: 'code', text: 'open' }])
    expect(parseMarkdown('---\nopen')[0]).toMatchObject({ kind: 'paragraph' })
  })
})
