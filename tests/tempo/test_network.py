from __future__ import annotations

import pytest

from ando_cli.errors import ExitCode, UsageError
from ando_cli.tempo.keys import keccak256
from ando_cli.tempo.network import NETWORKS, PRECOMPILE, SANDBOX, Network, is_address, normalise_address, parse_network
from ando_cli.tempo.protocol import Protocol

LOCAL: dict[str, object] = {
    "chain_id": 4217,
    "rpc_url": "http://127.0.0.1:8545",
    "token": "0x20c0000000000000000000000000000000000001",
    "escrows": ["0x5FbDB2315678afecb367f032d93F642f64180aa3"],
}


def test_the_public_networks_are_built_in() -> None:
    assert {name: network.chain_id for name, network in NETWORKS.items()} == {"tempo": 4217, "tempo-moderato": 42431}
    assert all(name == network.name for name, network in NETWORKS.items())


@pytest.mark.parametrize("network", [*NETWORKS.values(), SANDBOX], ids=lambda network: network.name)
def test_built_in_addresses_are_lower_case(network) -> None:
    for address in (network.token, *network.escrows, *network.precompiles):
        assert normalise_address(address) == address


def test_the_sandbox_shares_no_chain_and_no_escrow_with_a_network_that_holds_money() -> None:
    assert SANDBOX.chain_id not in {network.chain_id for network in NETWORKS.values()}
    assert not set(SANDBOX.escrows) & {escrow for network in NETWORKS.values() for escrow in network.escrows}
    assert SANDBOX.escrows == ("0x" + keccak256(b"ando sandbox escrow v1")[-20:].hex(),)


def test_a_configured_network_is_read_and_its_addresses_put_in_lower_case() -> None:
    network = parse_network("local", LOCAL)
    assert network.name == "local"
    assert network.chain_id == 4217
    assert network.rpc_url == "http://127.0.0.1:8545"
    assert network.token == "0x20c0000000000000000000000000000000000001"
    assert network.escrows == ("0x5fbdb2315678afecb367f032d93f642f64180aa3",)
    assert network.token_symbol == "token"
    assert parse_network("local", {**LOCAL, "token_symbol": "AlphaUSD"}).token_symbol == "AlphaUSD"


@pytest.mark.parametrize("key", list(LOCAL))
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(UsageError, match=rf"networks\.local\.{key}: missing") as caught:
        parse_network("local", {k: v for k, v in LOCAL.items() if k != key})
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("chain_id", v) for v in (0, -1, True, 1.0, "4217", 2**64)),
        *(("rpc_url", v) for v in ("", "127.0.0.1:8545", "ftp://host", "http://", "http://h:99999", "http://[", 1)),
        *(("token", v) for v in ("", "0x20c0", "0x" + "0" * 40, "0x" + "g" * 40, "0x" + "1" * 40 + "\n", 1, None)),
        *(("escrows", v) for v in ("0x" + "1" * 40, {}, None)),
        *(("precompiles", v) for v in ("0x" + "1" * 40, {}, None, False)),
        *(("token_symbol", v) for v in ("", "two words", "\x1b[31m", "x" * 17, 1)),
    ],
)
def test_a_wrong_value_is_refused_and_its_key_named(key: str, value: object) -> None:
    with pytest.raises(UsageError, match=rf"^networks\.local\.{key}: "):
        parse_network("local", {**LOCAL, key: value})


def test_the_wrong_escrow_of_several_is_named() -> None:
    with pytest.raises(UsageError, match=r"networks\.local\.escrows\[1\]"):
        parse_network("local", {**LOCAL, "escrows": ["0x" + "1" * 40, "0x1"]})


@pytest.mark.parametrize("network", [*NETWORKS.values(), SANDBOX, parse_network("local", LOCAL)])
def test_each_protocol_is_spoken_only_with_its_own_escrow(network: Network) -> None:
    assert network.precompiles == (PRECOMPILE,)
    assert network.trusts(PRECOMPILE, Protocol.V2)
    assert network.trusts(network.escrows[0], Protocol.V1)
    assert network.trusts("0x" + network.escrows[0][2:].upper(), Protocol.V1)
    assert not network.trusts(PRECOMPILE, Protocol.V1)
    assert not network.trusts(network.escrows[0], Protocol.V2)
    for protocol in Protocol:
        assert not network.trusts("0x" + "66" * 20, protocol)
        assert not network.trusts("", protocol)


def test_a_configured_network_can_do_without_v2() -> None:
    network = parse_network("local", {**LOCAL, "precompiles": []})
    assert network.precompiles == ()
    assert not network.trusts(PRECOMPILE, Protocol.V2)


def test_a_configured_network_can_have_its_precompile_elsewhere() -> None:
    network = parse_network("local", {**LOCAL, "precompiles": ["0x" + "AB" * 20]})
    assert network.precompiles == ("0x" + "ab" * 20,)
    with pytest.raises(UsageError, match=r"networks\.local\.precompiles\[0\]"):
        parse_network("local", {**LOCAL, "precompiles": ["0x" + "00" * 20]})


def test_an_unknown_key_is_refused_because_it_may_be_a_typing_error() -> None:
    with pytest.raises(UsageError, match="escrow'"):
        parse_network("local", {**LOCAL, "escrow": "0x" + "1" * 40})


@pytest.mark.parametrize("name", ["tempo", "tempo-moderato", "sandbox"])
def test_a_built_in_name_cannot_be_given_another_meaning(name: str) -> None:
    with pytest.raises(UsageError, match="built in"):
        parse_network(name, LOCAL)


@pytest.mark.parametrize("name", ["", "a b", "\x1b[2J", "x" * 65, "../up"])
def test_a_name_that_could_not_be_shown_or_filed_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_network(name, LOCAL)
    assert "\x1b" not in caught.value.message


def test_a_key_in_a_wrong_rpc_url_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        parse_network("local", {**LOCAL, "rpc_url": "htps://user:hunter2@rpc.example/secret-key"})
    assert "hunter2" not in caught.value.message
    assert "secret-key" not in caught.value.message


@pytest.mark.parametrize(
    "text", ["", "0x", "0X" + "1" * 40, "1" * 40, "0x" + "1" * 39, "0x" + "1" * 41, " 0x" + "1" * 40]
)
def test_what_is_not_an_address_is_told_apart(text: str) -> None:
    assert not is_address(text)
    with pytest.raises(ValueError, match="not an address"):
        normalise_address(text)


def test_a_network_where_only_v2_is_spoken_has_no_v1_escrow() -> None:
    network = parse_network("local", {**LOCAL, "escrows": []})
    assert (network.escrows, network.precompiles) == ((), (PRECOMPILE,))
    assert network.trusts(PRECOMPILE, Protocol.V2)
    assert not network.trusts(PRECOMPILE, Protocol.V1)


def test_a_network_needs_one_escrow_at_least() -> None:
    with pytest.raises(UsageError, match=r"networks\.local\.escrows: expected an address here or in precompiles"):
        parse_network("local", {**LOCAL, "escrows": [], "precompiles": []})
    assert parse_network("local", {**LOCAL, "precompiles": []}).precompiles == ()
