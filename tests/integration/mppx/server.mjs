// A stock MPP server whose every route is paid from a v1 session: `node server.mjs RPC ESCROW TOKEN`, the payee's key
// in MPPX_PRIVATE_KEY. It prints its address, then one line of JSON for each credential that it was handed.
import { createServer } from "node:http";
import { Mppx, tempo } from "mppx/server";
import { createClient, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { tempo as chain } from "viem/tempo/chains";

const [rpc, escrowContract, currency] = process.argv.slice(2);
const account = privateKeyToAccount(process.env.MPPX_PRIVATE_KEY);
const client = createClient({ account, chain, transport: http(rpc) });
const price = { amount: "1", suggestedDeposit: "5", unitType: "request" };
const session = tempo.session({
  account,
  currency,
  escrowContract,
  getClient: () => client,
  recipient: account.address,
});
const paid = Mppx.create({ methods: [session], realm: "a stock server", secretKey: "for tests".repeat(4) }).session(price);

async function answer(request) {
  const verdict = await paid(request);
  if (verdict.status === 402) return verdict.challenge;
  return verdict.withReceipt(Response.json({ choices: [{ message: { content: "paid for" } }] }));
}

const server = createServer(async (incoming, outgoing) => {
  const chunks = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const url = `http://${incoming.headers.host}${incoming.url}`;
  const body = chunks.length ? Buffer.concat(chunks) : undefined;
  const response = await answer(new Request(url, { method: incoming.method, headers: incoming.headers, body }));
  const content = await response.text();

  const credential = incoming.headers.authorization?.split(" ")[1];
  if (credential) {
    const { payload } = JSON.parse(Buffer.from(credential, "base64url"));
    const { action, channelId, cumulativeAmount } = payload;
    const refusal = response.ok ? undefined : content;
    console.log(JSON.stringify({ status: response.status, action, channelId, cumulativeAmount, refusal }));
  }
  outgoing.writeHead(response.status, Object.fromEntries(response.headers)).end(content);
});
server.listen(0, "127.0.0.1", () => console.log(`Listening on http://127.0.0.1:${server.address().port}`));
