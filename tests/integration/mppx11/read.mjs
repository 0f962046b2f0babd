// Reads session credentials as mppx 0.11 does, from JSON on stdin, and writes what it found in them as JSON.
// In: {chainId, escrow, authorizations: [...]}. Out: one object for each, with what mppx computes or verifies itself.
import { readFileSync } from 'node:fs'

import { Credential } from 'mppx'
import { Methods, Session } from 'mppx/tempo'
import { Transaction } from 'viem/tempo'

const { Channel, Voucher } = Session.Precompile
const { chainId, escrow, authorizations } = JSON.parse(readFileSync(0, 'utf8'))

const found = authorizations.map((authorization) => {
  const { challenge, payload, source } = Credential.deserialize(authorization)
  const parsed = Methods.session.schema.credential.payload.parse(payload)
  const { descriptor } = parsed
  const transaction = parsed.action === 'open' ? Transaction.deserialize(parsed.transaction) : undefined
  return {
    action: parsed.action,
    challengeId: challenge.id,
    source,
    namesItsChannel: Channel.computeId({ ...descriptor, chainId, escrow }) === parsed.channelId,
    signerAccepts:
      parsed.signature === undefined
        ? null
        : Voucher.verifyVoucher(
            escrow,
            chainId,
            Voucher.parseVoucherFromPayload(parsed.channelId, parsed.cumulativeAmount, parsed.signature),
            Channel.resolveAuthorizedSigner(descriptor),
          ),
    boundToItsTransaction:
      transaction === undefined
        ? null
        : Channel.computeExpiringNonceHash(
            Channel.transactionForExpiringNonceHash({
              transaction,
              feePayer: transaction.feePayerSignature === null ? true : undefined,
            }),
            { sender: descriptor.payer },
          ) === descriptor.expiringNonceHash,
  }
})
console.log(JSON.stringify(found))
