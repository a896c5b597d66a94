/** The path of another entry once it is built, for a process or a thread to start with. */
declare module '*?modulePath' {
  const path: string
  export default path
}
