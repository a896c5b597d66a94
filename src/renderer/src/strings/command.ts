/** What a form asks for, as a command. */
export const COMMAND = {
  title: 'On the command line',
  copy: 'Copy the command',
  copied: 'Copied',
} as const
