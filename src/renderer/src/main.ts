import { createPinia } from 'pinia'
import { createApp } from 'vue'
import { Client, CLIENT } from './api/client'
import { findTransport } from './api/transport'
import App from './App.vue'
import { createAppRouter } from './router'
import './styles/tokens.css'
import './styles/base.css'

createApp(App)
  .provide(CLIENT, new Client(findTransport()))
  .use(createPinia())
  .use(createAppRouter())
  .mount('#app')
