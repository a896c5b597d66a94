// Applies the chosen theme before the page is painted; `src/stores/theme.ts` keeps it.
try {
  const theme = localStorage.getItem('lesa.theme')
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme
} catch {
  // Storage may be switched off: the system's theme it is.
}
