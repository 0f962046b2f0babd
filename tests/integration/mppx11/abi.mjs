// Writes what mppx 0.11 knows of both escrows: the signatures of their functions and events, as JSON.
// In: the files that describe them, by name, from mppx's folder `tempo`.
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const asked = JSON.parse(readFileSync(0, 'utf8'))
const folder = join(dirname(fileURLToPath(import.meta.url)), 'node_modules', 'mppx', 'dist', 'tempo')
const type = (input) =>
  input.type.startsWith('tuple') ? `(${input.components.map(type)})${input.type.slice(5)}` : input.type
const found = {}
for (const [name, path] of Object.entries(asked)) {
  const { escrowAbi } = await import(pathToFileURL(join(folder, path)).href)
  const signatures = (kind) =>
    escrowAbi.filter((item) => item.type === kind).map((item) => `${item.name}(${item.inputs.map(type)})`)
  found[name] = { functions: signatures('function'), events: signatures('event') }
}
console.log(JSON.stringify(found))
