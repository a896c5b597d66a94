import type { AppInfo } from '@shared/contract'
import type { DeviceReport } from '@shared/devices'
import { toAppError, type AppErrorData } from '@shared/errors'
import { defineStore } from 'pinia'
import { ref } from 'vue'
import { useClient } from '../api/client'

/** What the program is, what this machine has, and whether the line to it is up. */
export const useAppStore = defineStore('app', () => {
  const client = useClient()
  const info = ref<AppInfo | null>(null)
  const devices = ref<readonly DeviceReport[] | null>(null)
  const devicesError = ref<AppErrorData | null>(null)
  const isConnected = ref(true)

  client.onConnection((connected) => (isConnected.value = connected))

  async function load(): Promise<void> {
    info.value = await client.call('app:info')
    try {
      devices.value = await client.call('devices:list')
    } catch (thrown) {
      devicesError.value = toAppError(thrown).toData()
    }
  }

  return { info, devices, devicesError, isConnected, load }
})
