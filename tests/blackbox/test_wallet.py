"""``ando wallet``, the installed command, from outside: exit codes, stdout, stderr."""

from __future__ import annotations

import http.server
import json
import os
import pty
import re
import select
import stat
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import eth_keyfile.keyfile
import pytest

from ando_cli.keys import keystore
from ando_cli.tempo.keys import PrivateKey
from tests.support import forked
from tests.support.cli_box import keyring_in
from tests.support.forked import ANDO

if TYPE_CHECKING:
    from pathlib import Path

KEY = PrivateKey.parse("6d" * 32)
OTHER = PrivateKey.parse("7e" * 32)
PASSWORD = "correct horse"
WAYS_OUT = ["keyring", "ANDO_PRIVATE_KEY", "ando wallet create --keystore", "ando wallet import --keystore"]


class Box:
    """One user's machine: a home folder, a keyring, an environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.ring = folder / "ring.json"
        self.keystore = self.home / "keystore.json"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "ANDO_HOME": str(self.home),
            **keyring_in(self.ring),
        }

    def without_keyring(self, backend: str = "keyring.backends.fail.Keyring") -> Box:
        self.environment["PYTHON_KEYRING_BACKEND"] = backend
        return self

    def ando(self, *arguments: str, stdin: str | bytes = b"", **variables: str) -> subprocess.CompletedProcess[str]:
        content = stdin.encode() if isinstance(stdin, str) else stdin
        code, out, err = forked.run(arguments, self.environment | variables, self.folder, content)
        stdout, stderr = out.decode(), err.decode()
        assert "Traceback" not in stderr
        for secret in (KEY.to_hex()[2:], OTHER.to_hex()[2:], PASSWORD):
            assert secret not in (stdout + stderr).lower()
        return subprocess.CompletedProcess(arguments, code, stdout, stderr)

    def kept(self) -> str | None:
        """The secret in the keyring."""
        found = json.loads(self.ring.read_text()) if self.ring.exists() else {}
        return found.get("ando-cli/wallet")


@pytest.fixture
def box(tmp_path):
    return Box(tmp_path)


@pytest.fixture
def keystore_file(tmp_path, monkeypatch):
    """The key in a keystore file of another tool, encrypted at next to no cost."""
    monkeypatch.setattr(eth_keyfile.keyfile, "get_default_work_factor_for_kdf", lambda _: 2)
    path = tmp_path / "exported.json"
    path.write_text(keystore.encrypt(KEY, PASSWORD))
    return path


def answer(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on stdout of a command that worked."""
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\n")
    assert done.stdout.count("\n") == 1
    return done.stdout.strip()


def refusal(done: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """The two lines on stderr of a command that did not."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("try: ")
    return done.stderr


# create


def test_create_shows_the_address_and_never_the_key(box):
    done = box.ando("wallet", "create")
    shown = answer(done)
    secret = box.kept()
    assert re.fullmatch("0x[0-9a-f]{40}", shown)
    assert secret is not None
    assert PrivateKey.parse(secret).address == shown
    assert secret[2:] not in done.stdout + done.stderr
    assert "ando wallet export" in done.stderr
    assert answer(box.ando("wallet", "address")) == shown


def test_create_with_j_prints_one_json_object(box):
    shown = json.loads(answer(box.ando("-j", "wallet", "create")))
    assert shown == {"address": PrivateKey.parse(box.kept() or "").address}


def test_create_in_a_keystore_needs_no_keyring(box):
    box.without_keyring()
    shown = answer(box.ando("wallet", "create", "--keystore", ANDO_KEYSTORE_PASSWORD=PASSWORD))
    assert stat.S_IMODE(box.keystore.stat().st_mode) == 0o600
    assert stat.S_IMODE(box.home.stat().st_mode) == 0o700
    assert answer(box.ando("wallet", "address")) == shown
    assert keystore.decrypt(box.keystore.read_text(), PASSWORD).address == shown


@pytest.mark.parametrize("place", [[], ["--keystore"]], ids=["keyring", "keystore"])
def test_create_over_a_wallet_is_refused_with_the_way_out(box, place):
    box.ando("wallet", "import", stdin=KEY.to_hex())
    text = refusal(box.ando("wallet", "create", *place, ANDO_KEYSTORE_PASSWORD=PASSWORD))
    assert "ando wallet export" in text
    assert "ando wallet remove" in text
    assert box.kept() == KEY.to_hex()


@pytest.mark.parametrize("backend", ["null", "fail"])
@pytest.mark.parametrize("command", ["create", "address", "balance", "export", "remove"])
def test_without_a_keyring_each_command_says_the_three_ways_out(box, backend, command):
    text = refusal(box.without_keyring(f"keyring.backends.{backend}.Keyring").ando("wallet", command))
    assert all(way in text for way in WAYS_OUT)


def test_a_locked_keyring_is_called_locked(box):
    text = refusal(box.without_keyring("file_keyring.Locked").ando("wallet", "address"))
    assert "locked" in text
    assert all(way in text for way in WAYS_OUT)


def test_create_says_when_a_variable_goes_before_the_new_wallet(box):
    done = box.ando("wallet", "create", ANDO_PRIVATE_KEY=KEY.to_hex())
    assert answer(done) != KEY.address
    assert "ANDO_PRIVATE_KEY is set" in done.stderr


@pytest.mark.parametrize("command", [["create"], ["import"]])
def test_a_keystore_without_a_password_is_refused_before_anything_is_stored(box, command):
    text = refusal(box.ando("wallet", *command, "--keystore", stdin=KEY.to_hex()))
    assert "ANDO_KEYSTORE_PASSWORD" in text
    assert not box.keystore.exists()


@pytest.mark.parametrize("command", ["create", "import", "address", "export"])
def test_there_is_no_private_key_on_the_command_line(box, command):
    refusal(box.ando("wallet", command, "--private-key", "0x1"), code=2)


# import


@pytest.mark.parametrize("text", [KEY.to_hex(), KEY.to_hex()[2:] + "\n", f"  {KEY.to_hex().upper()[2:]}\r\n"])
def test_import_takes_a_piped_key(box, text):
    assert answer(box.ando("wallet", "import", stdin=text)) == KEY.address
    assert box.kept() == KEY.to_hex()


@pytest.mark.parametrize(
    "text", ["", "0x12", KEY.to_hex() + " " + OTHER.to_hex(), KEY.to_hex() * 500, "0" * 64, b"\xff\xfe" * 32, "{}"]
)
def test_import_refuses_what_is_not_a_key(box, text):
    refusal(box.ando("wallet", "import", stdin=text), code=2)
    assert box.kept() is None


def test_import_takes_a_keystore_file(box, keystore_file):
    command = ["wallet", "import", "--keystore-file", str(keystore_file)]
    assert answer(box.ando(*command, ANDO_KEYSTORE_PASSWORD=PASSWORD)) == KEY.address
    assert box.kept() == KEY.to_hex()


def test_import_takes_a_keystore_file_into_the_keystore(box, keystore_file):
    command = ["wallet", "import", "--keystore", "--keystore-file", str(keystore_file)]
    assert answer(box.ando(*command, ANDO_KEYSTORE_PASSWORD=PASSWORD)) == KEY.address
    assert box.kept() is None
    assert answer(box.without_keyring().ando("wallet", "address")) == KEY.address


def test_import_refuses_a_keystore_file_with_a_wrong_password_or_a_damage(box, keystore_file):
    command = ["wallet", "import", "--keystore-file", str(keystore_file)]
    assert "password" in refusal(box.ando(*command, ANDO_KEYSTORE_PASSWORD="wrong"))
    assert "ANDO_KEYSTORE_PASSWORD" in refusal(box.ando(*command))
    keystore_file.write_text(keystore_file.read_text()[:99])
    refusal(box.ando(*command, ANDO_KEYSTORE_PASSWORD=PASSWORD))
    keystore_file.unlink()
    refusal(box.ando(*command, ANDO_KEYSTORE_PASSWORD=PASSWORD), code=2)
    assert box.kept() is None


def test_import_over_a_wallet_is_refused(box):
    box.ando("wallet", "import", stdin=KEY.to_hex())
    refusal(box.ando("wallet", "import", stdin=OTHER.to_hex()))
    assert box.kept() == KEY.to_hex()


def test_import_asks_on_a_terminal_without_echo(box):
    shown = on_a_terminal(box, ["wallet", "import"], [("Private key: ", KEY.to_hex())])
    assert KEY.address in shown
    assert KEY.to_hex()[2:] not in shown
    assert box.kept() == KEY.to_hex()


def test_import_does_not_read_a_key_where_the_terminal_would_echo_it(box):
    controller, terminal = pty.openpty()
    try:
        done = subprocess.run(
            [ANDO, "wallet", "import"],
            stdin=terminal,
            capture_output=True,
            text=True,
            env=box.environment,
            timeout=60,
            start_new_session=True,
        )
    finally:
        os.close(controller)
        os.close(terminal)
    refusal(done, code=2)


@pytest.mark.parametrize(("typed", "code"), [("\x04", 2), ("\x03", 130), ("no key", 2)], ids=["end", "ctrl-c", "text"])
def test_import_can_be_given_up_at_the_prompt(box, typed, code):
    on_a_terminal(box, ["wallet", "import"], [("Private key: ", typed)], code=code)
    assert box.kept() is None


# address


@pytest.mark.parametrize("name", ["ANDO_PRIVATE_KEY", "TEMPO_PRIVATE_KEY"])
def test_address_of_a_key_in_the_environment(box, name):
    assert answer(box.without_keyring().ando("wallet", "address", **{name: KEY.to_hex()})) == KEY.address


def test_address_with_j_before_and_after(box):
    for command in (["-j", "wallet", "address"], ["wallet", "-j", "address"], ["wallet", "address", "-j"]):
        assert json.loads(answer(box.ando(*command, ANDO_PRIVATE_KEY=KEY.to_hex()))) == {"address": KEY.address}


@pytest.mark.parametrize("value", ["0x1234", "zz" * 32, " "])
def test_a_malformed_key_in_the_environment_is_named_and_not_shown(box, value):
    box.ando("wallet", "import", stdin=KEY.to_hex())
    text = refusal(box.ando("wallet", "address", ANDO_PRIVATE_KEY=value, TEMPO_PRIVATE_KEY=OTHER.to_hex()))
    assert "ANDO_PRIVATE_KEY" in text
    assert not value.strip() or value not in text


def test_an_error_with_j_is_json_on_stdout(box):
    done = box.ando("wallet", "address", "-j")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "wallet_missing"
    assert done.stderr == ""


def test_the_sandbox_has_no_real_wallet(box):
    refusal(box.ando("--sandbox", "wallet", "address", ANDO_PRIVATE_KEY=KEY.to_hex()), code=2)


# balance


@pytest.fixture
def rpc():
    """A chain 4217 on which every account holds 12.5 of every token."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked_for.append(asked)
            result = hex(4217) if asked["method"] == "eth_chainId" else f"0x{12_500_000:064x}"
            body = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    asked_for: list[dict[str, object]] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked_for
    server.shutdown()
    server.server_close()


def test_balance_is_that_of_the_networks_token(box, rpc):
    url, asked_for = rpc
    done = box.ando("wallet", "balance", "--rpc-url", url, ANDO_PRIVATE_KEY=KEY.to_hex())
    assert answer(done) == "12.50 USDC.e"
    call = asked_for[-1]["params"][0]
    assert call["to"].lower() == "0x20c000000000000000000000b9537d11c60e8b50"
    assert call["data"].endswith(KEY.address[2:])
    assert KEY.address not in done.stdout + done.stderr


def test_balance_with_j(box, rpc):
    done = box.ando("wallet", "balance", "-j", "--rpc-url", rpc[0], ANDO_PRIVATE_KEY=KEY.to_hex())
    assert json.loads(answer(done)) == {
        "balance": "12.50",
        "symbol": "USDC.e",
        "token": "0x20c000000000000000000000b9537d11c60e8b50",
        "network": "tempo",
    }


def test_balance_of_another_chain_is_not_shown_as_this_networks(box, rpc):
    command = ["--network", "tempo-moderato", "wallet", "balance", "--rpc-url", rpc[0]]
    assert "another chain" in refusal(box.ando(*command, ANDO_PRIVATE_KEY=KEY.to_hex()), code=3)


def test_balance_of_a_chain_that_cannot_be_reached(box):
    command = ["wallet", "balance", "--rpc-url", "http://127.0.0.1:9"]
    refusal(box.ando(*command, ANDO_PRIVATE_KEY=KEY.to_hex()), code=3)


# export


def test_export_prints_an_encrypted_keystore(box):
    done = box.ando("wallet", "export", ANDO_PRIVATE_KEY=KEY.to_hex(), ANDO_KEYSTORE_PASSWORD=PASSWORD)
    assert done.returncode == 0
    assert json.loads(done.stdout)["version"] == 3
    assert keystore.decrypt(done.stdout, PASSWORD).to_hex() == KEY.to_hex()


def test_export_writes_a_new_file_for_its_owner_alone(box, tmp_path):
    path = tmp_path / "backup.json"
    variables = {"ANDO_PRIVATE_KEY": KEY.to_hex(), "ANDO_KEYSTORE_PASSWORD": PASSWORD}
    done = box.ando("wallet", "export", "-o", str(path), **variables)
    assert (done.returncode, done.stdout) == (0, "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert keystore.decrypt(path.read_text(), PASSWORD).to_hex() == KEY.to_hex()
    before = path.read_text()
    refusal(box.ando("wallet", "export", "-o", str(path), **variables), code=2)
    assert path.read_text() == before


def test_export_with_j_names_the_file(box, tmp_path):
    path = tmp_path / "backup.json"
    variables = {"ANDO_PRIVATE_KEY": KEY.to_hex(), "ANDO_KEYSTORE_PASSWORD": PASSWORD}
    assert json.loads(answer(box.ando("-j", "wallet", "export", "-o", str(path), **variables))) == {"file": str(path)}


def test_export_without_a_password_is_refused(box):
    assert "ANDO_KEYSTORE_PASSWORD" in refusal(box.ando("wallet", "export", ANDO_PRIVATE_KEY=KEY.to_hex()))


def test_export_into_a_folder_that_does_not_exist_is_refused(box, tmp_path):
    variables = {"ANDO_PRIVATE_KEY": KEY.to_hex(), "ANDO_KEYSTORE_PASSWORD": PASSWORD}
    refusal(box.ando("wallet", "export", "-o", str(tmp_path / "absent" / "backup.json"), **variables))


def test_export_asks_for_its_password_twice_on_a_terminal(box, tmp_path):
    box.ando("wallet", "import", stdin=KEY.to_hex())
    path = tmp_path / "backup.json"
    answers = [("Password of the export: ", PASSWORD), ("Again: ", PASSWORD)]
    shown = on_a_terminal(box, ["wallet", "export", "-o", str(path)], answers)
    assert PASSWORD not in shown
    assert keystore.decrypt(path.read_text(), PASSWORD).to_hex() == KEY.to_hex()


def test_an_export_can_be_imported_again(box, tmp_path):
    box.ando("wallet", "import", stdin=KEY.to_hex())
    path = str(tmp_path / "backup.json")
    password = {"ANDO_KEYSTORE_PASSWORD": PASSWORD}
    assert box.ando("wallet", "export", "-o", path, **password).returncode == 0
    assert box.ando("wallet", "remove", "--yes").returncode == 0
    assert answer(box.ando("wallet", "import", "--keystore-file", path, **password)) == KEY.address


# remove


def test_remove_without_a_terminal_and_without_yes_is_refused(box):
    box.ando("wallet", "import", stdin=KEY.to_hex())
    assert "--yes" in refusal(box.ando("wallet", "remove", stdin="y\n"), code=2)
    assert box.kept() == KEY.to_hex()


def test_remove_with_yes_deletes_the_key(box):
    box.ando("wallet", "import", stdin=KEY.to_hex())
    done = box.ando("wallet", "remove", "--yes")
    assert (done.returncode, done.stdout) == (0, "")
    assert box.kept() is None
    assert "ando wallet create" in refusal(box.ando("wallet", "remove", "--yes"))


def test_remove_with_j_says_where_the_key_was(box, keystore_file):
    box.home.mkdir()
    keystore_file.rename(box.keystore)
    assert json.loads(answer(box.ando("wallet", "remove", "-j", "--yes"))) == {"removed": "keystore"}
    assert not box.keystore.exists()


@pytest.mark.parametrize(("reply", "kept"), [("y", False), ("", True), ("no", True)])
def test_remove_asks_on_a_terminal(box, reply, kept):
    box.ando("wallet", "import", stdin=KEY.to_hex())
    on_a_terminal(box, ["wallet", "remove"], [("[y/N] ", reply)], code=1 if kept else 0)
    assert (box.kept() is not None) == kept


def test_a_key_in_the_environment_cannot_be_removed(box):
    assert "ANDO_PRIVATE_KEY" in refusal(box.ando("wallet", "remove", "--yes", ANDO_PRIVATE_KEY=KEY.to_hex()))


def on_a_terminal(box: Box, arguments: list[str], answers: list[tuple[str, str]], *, code: int = 0) -> str:
    """Run ``ando`` on a terminal of its own, answer its questions in turn, and return all that it showed."""
    child, controller = pty.fork()
    if child == 0:
        os.execve(ANDO, ["ando", *arguments], box.environment | {"TERM": "dumb"})  # noqa: S606
    shown, waiting = "", list(answers)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not select.select([controller], [], [], 0.2)[0]:
            continue
        try:
            data = os.read(controller, 4096)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        shown += data.decode()
        if waiting and shown.endswith(waiting[0][0]):
            os.write(controller, waiting.pop(0)[1].encode() + b"\n")
    _, status = os.waitpid(child, 0)
    os.close(controller)
    assert os.waitstatus_to_exitcode(status) == code, shown
    assert waiting == [], shown
    return shown


def test_import_without_any_stdin_is_refused(box):
    done = subprocess.run(
        ["sh", "-c", f"exec '{ANDO}' wallet import <&-"],
        capture_output=True,
        text=True,
        env=box.environment,
        timeout=60,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
