// Pays a v2 gateway with mppx 0.11's own session client: two requests, a top-up and a close.
// In: {url, rpcUrl, privateKey, body, topUp}. Out: what each step was answered.
import { readFileSync } from 'node:fs'

import { tempo } from 'mppx/client'
import { createClient, http } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { tempoModerato } from 'viem/chains'

const { url, rpcUrl, privateKey, body, topUp } = JSON.parse(readFileSync(0, 'utf8'))
const account = privateKeyToAccount(privateKey)
const client = createClient({ account, chain: tempoModerato, transport: http(rpcUrl) })
const manager = tempo.session.manager({ account, client, getClient: () => client, maxDeposit: '20' })

const ask = async () => {
  const response = await manager.fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  })
  return { status: response.status, text: await response.text(), receipt: response.receipt }
}
const answers = [await ask(), await ask()]
const toppedUp = await manager.topUp(topUp)
answers.push(await ask())
const closed = await manager.close()
console.log(
  JSON.stringify({ answers, toppedUp, closed, channelId: manager.channelId ?? answers[0].receipt?.channelId }, (_, value) =>
    typeof value === 'bigint' ? value.toString() : value,
  ),
)
