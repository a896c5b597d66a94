import type { Theme } from '@shared/settings'

/** The Settings view. */
export const SETTINGS = {
  title: 'Settings',
  appearance: 'Appearance',
  theme: 'Theme',
  notifications: 'Notifications',
  notificationStates: {
    default: 'The browser can tell when a long job has ended.',
    granted: 'The browser tells when a long job has ended.',
    denied: 'Switched off for this page in the browser’s own settings.',
  },
  allowNotifications: 'Allow',
  machine: 'This machine',
  device: 'Default device',
  deviceHint: 'What new projects and evaluations start with.',
  devices: 'Devices',
  devicesText: 'A small computation was run on each, and its result checked.',
  tryAgain: 'Try again',
  trying: 'Trying the devices…',
  works: 'Works',
  slow: 'Software, slow',
  not: 'Not available',
  columns: { device: 'Device', state: 'State', why: 'What was seen' },
  memory: 'Memory limit',
  memoryHint:
    'Main memory that a job may use, such as 8 GB. Empty: whatever is free. Estimates are judged by it.',
  memoryError: 'Give a size of at least 512 MB, such as 8 GB.',
  memoryPlaceholder: 'what is free',
  work: 'Finished stages to keep',
  workHint: 'For each project, so that later runs need not compute them again. 0 keeps none.',
  workError: 'Give a size such as 20 GB.',
  projects: 'Projects',
  folder: 'Folder for new projects',
  folderHint: 'Empty: the default folder.',
  folderChoose: 'Choose the folder for new projects',
  about: 'About',
  version: 'Version',
  host: 'Window',
  hosts: { electron: 'Desktop', browser: 'Browser on this machine' },
  offline: 'The program works offline: it opens no connection and sends nothing anywhere.',
  apply: 'Apply',
  taken: (size: string) => `That is ${size}.`,
} as const

export const THEME_NAMES: Readonly<Record<Theme, string>> = {
  auto: 'As the system',
  light: 'Light',
  dark: 'Dark',
}
