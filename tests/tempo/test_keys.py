from __future__ import annotations

import copy
import logging
import pickle
import traceback

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from ando_cli.tempo.keys import PrivateKey, keccak256, recover

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SECRET = "de2a65cc76d8f197ec6c5c1c54b62f769441a9d4ddfd06a683d36ff2718046c3"
KEY = PrivateKey.parse(SECRET)
DIGEST = keccak256(b"a digest")

secrets = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
digests = st.binary(min_size=32, max_size=32)


def with_s(signature: bytes, s: int) -> bytes:
    return signature[:32] + s.to_bytes(32, "big") + signature[64:]


def test_keccak_is_ethereums_and_not_sha3() -> None:
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


@pytest.mark.parametrize("text", [SECRET, "0x" + SECRET, "0X" + SECRET.upper(), f" \t0x{SECRET}\r\n"])
def test_a_key_is_read_in_every_usual_spelling(text: str) -> None:
    assert PrivateKey.parse(text).address == "0x3e100d70951ac919a6cccc1cb5f7a59af7080626"
    assert PrivateKey.parse(text).to_hex() == "0x" + SECRET


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0x",
        SECRET[:-1],
        SECRET + "0",
        "g" + SECRET[1:],
        "0x0x" + SECRET,
        SECRET[:31] + "  " + SECRET[33:],
        "٣" * 64,
        "0" * 64,
        f"{ORDER:064x}",
        "f" * 64,
    ],
)
def test_what_is_no_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="not a private key") as caught:
        PrivateKey.parse(text)
    told = "".join(traceback.format_exception(caught.value.__class__, caught.value, None))
    assert len(text) < 3 or text not in told
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("secret", [b"", bytes(32), b"\x01" * 31, b"\x01" * 33, ORDER.to_bytes(32, "big")])
def test_bytes_that_are_no_key_are_refused(secret: bytes) -> None:
    with pytest.raises(ValueError, match="not a private key"):
        PrivateKey(secret)


def test_the_largest_and_the_smallest_key_are_keys() -> None:
    for number in (1, ORDER - 1):
        assert PrivateKey.parse(f"{number:064x}").address == Account.from_key(f"{number:064x}").address.lower()


def test_a_key_never_shows_itself(caplog: pytest.LogCaptureFixture) -> None:
    key = PrivateKey.parse(SECRET)
    assert key.address  # with its cached values filled in
    logging.getLogger("test").warning("%s %r", key, key)
    shown = [repr(key), str(key), f"{key}", f"{key!r:>80}", repr([key]), "%s" % (key,), caplog.text]  # noqa: UP031
    with pytest.raises(ValueError, match="32 bytes") as caught:
        key.sign(b"short")
    shown.append("".join(traceback.format_exception(caught.value)))
    for text in shown:
        assert SECRET[:8] not in text.lower()
        assert repr(bytes.fromhex(SECRET))[2:12] not in text


@pytest.mark.parametrize("carry", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_key_is_not_pickled_or_copied(carry) -> None:
    with pytest.raises(TypeError, match="not pickled or copied"):
        carry(KEY)


def test_a_key_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        KEY.secret = bytes(32)  # type: ignore[misc]


def test_every_generated_key_is_another_one() -> None:
    assert len({PrivateKey.generate().to_hex() for _ in range(20)}) == 20


@settings(deadline=None)
@given(secrets, digests)
def test_a_signature_is_eth_accounts_with_a_low_s_and_names_its_signer(secret: bytes, digest: bytes) -> None:
    key = PrivateKey(secret)
    signature = key.sign(digest)
    assert signature == bytes(Account.unsafe_sign_hash(digest, secret).signature)
    assert len(signature) == 65
    assert signature[64] in (27, 28)
    assert int.from_bytes(signature[32:64], "big") <= ORDER // 2
    assert recover(digest, signature) == key.address == Account.from_key(secret).address.lower()


def test_the_other_spelling_of_a_signature_is_refused() -> None:
    signature = KEY.sign(DIGEST)
    s = int.from_bytes(signature[32:64], "big")
    twin = with_s(signature, ORDER - s)[:64] + bytes((55 - signature[64],))
    with pytest.raises(ValueError, match="high s"):
        recover(DIGEST, twin)


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_a_last_byte_that_is_not_27_or_28_is_refused(v: int) -> None:
    with pytest.raises(ValueError, match="27 or 28"):
        recover(DIGEST, KEY.sign(DIGEST)[:64] + bytes((v,)))


@pytest.mark.parametrize(
    "signature",
    [
        bytes(64) + b"\x1b",
        with_s(KEY.sign(DIGEST), 0),
        bytes(32) + KEY.sign(DIGEST)[32:],
        ORDER.to_bytes(32, "big") + KEY.sign(DIGEST)[32:],
        b"\xff" * 32 + KEY.sign(DIGEST)[32:],
    ],
)
def test_numbers_that_no_key_could_have_made_are_refused(signature: bytes) -> None:
    with pytest.raises(ValueError, match="not valid for any key"):
        recover(DIGEST, signature)


@pytest.mark.parametrize("size", [0, 64, 66])
def test_a_signature_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="65 bytes"):
        recover(DIGEST, b"\x01" * size)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_digest_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        recover(bytes(size), KEY.sign(DIGEST))


@settings(deadline=None)
@given(digests, st.binary(min_size=64, max_size=64), st.sampled_from([27, 28]))
def test_random_bytes_are_a_value_error_or_somebody_elses_signature(digest: bytes, body: bytes, v: int) -> None:
    try:
        signer = recover(digest, body + bytes((v,)))
    except ValueError:
        return
    assert signer != KEY.address
