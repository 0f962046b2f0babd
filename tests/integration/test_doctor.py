"""``ando doctor`` on a real Secret Service, unlocked and locked."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.real_keyring import SecretService

pytestmark = pytest.mark.integration

ANDO = Path(sys.executable).with_name("ando")
# Nobody answers there, and nobody has to: it is the keyring that is looked at.
NOWHERE = {"ANDO_BASE_URL": "http://127.0.0.1:1/v1", "ANDO_RPC_URL": "http://127.0.0.1:1"}


def examined(service: SecretService, **options: Any) -> dict[str, Any]:
    done = service.run([ANDO, "doctor", "--timeout", "20"], env=NOWHERE, **options)
    assert (done.returncode, done.stderr) == (1, "")
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def test_the_keyring_and_what_is_in_it_are_told(secret_service: SecretService) -> None:
    address = secret_service.run([ANDO, "wallet", "create"]).stdout.strip()
    assert address.startswith("0x")

    found = examined(secret_service)
    assert found["keyring"]["status"] == "pass"
    assert "SecretService" in found["keyring"]["found"]
    assert found["wallet"]["found"].startswith("in the keyring; what it holds is unknown: ")
    assert address not in str(found)

    locked = examined(secret_service, password="wrong")
    assert locked["wallet"]["status"] == "fail"
    assert "locked" in locked["wallet"]["found"]
