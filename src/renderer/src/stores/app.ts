import type { AppInfo } from '@shared/contract'
import type { DeviceReport } from '@shared/devices'
import { toAppError, type AppErrorData } from '@shared/errors'
import { defineStore } from 'pinia'
import { ref, shallowRef } from 'vue'
import { useClient } from '../api/client'

/** What the program is, what this machine has, and whether the line to it is up. */
export const useAppStore = defineStore('app', () => {
  const client = useClient()
  const info = shallowRef<AppInfo | null>(null)
  const devices = shallowRef<readonly DeviceReport[] | null>(null)
  const devicesError = shallowRef<AppErrorData | null>(null)
  const isConnected = ref(true)
  /** The line will not come back: this page's key is not valid any more. */
  const isRefused = ref(false)

  client.onRefused(() => (isRefused.value = true))
  client.onConnection((connected) => (isConnected.value = connected))

  /** @throws AppError */
  async function load(): Promise<void> {
    info.value = await client.call('app:info')
    await loadDevices()
  }

  /** Trying every device takes seconds. */
  async function loadDevices(): Promise<void> {
    devicesError.value = null
    try {
      devices.value = await client.call('devices:list')
    } catch (thrown) {
      devicesError.value = toAppError(thrown).toData()
    }
  }

  return { info, devices, devicesError, isConnected, isRefused, load, loadDevices }
})
