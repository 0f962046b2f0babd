// Writes session snapshots as mppx 0.11's server puts them into the `Payment-Session-Snapshot` header: a JSON list on
// stdin in, a JSON list of the header's values out.
import { readFileSync } from 'node:fs'

import { Session } from 'mppx/tempo'

console.log(JSON.stringify(JSON.parse(readFileSync(0, 'utf8')).map(Session.serializeSnapshot)))
