"""Challenges: the WWW-Authenticate grammar, the echo, expiry and digest."""

from __future__ import annotations

import base64
import hashlib
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ando_cli.mpp.base64url import LIMIT
from ando_cli.mpp.challenge import Challenge, parse_challenges, parse_fields
from ando_cli.mpp.malformed import MalformedError
from tests.support.mpp_builders import PARAMS, b64, b64_json, challenge, nested, payment, quoted

FULL = PARAMS | {
    "expires": "2030-01-01T00:00:00Z",
    "digest": "sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    "opaque": b64(b'{ "b" : 1,"a":"\\u00e9" }'),
    "description": 'A "chat", Payment id="x" \\ done',
    "header": "Payment-Authorization",
}


def one(line: str) -> Challenge:
    challenges, reasons = parse_challenges([line])
    assert reasons == ()
    assert len(challenges) == 1
    return challenges[0]


def ids(*lines: str) -> list[str]:
    return [found.id for found in parse_challenges(lines)[0]]


def reason(line: str) -> str:
    challenges, reasons = parse_challenges([line])
    assert challenges == ()
    assert len(reasons) == 1
    return reasons[0]


# What is read


def test_all_parameters_are_read() -> None:
    found = one(payment(**FULL))
    assert {name: getattr(found, name) for name in FULL} == FULL


def test_parameters_that_were_absent_are_none() -> None:
    found = one(payment())
    absent = (found.expires, found.digest, found.description, found.opaque, found.header)
    assert absent == (None,) * 5


def test_the_echo_returns_every_parameter_byte_for_byte() -> None:
    assert one(payment(**FULL)).echo() == FULL


def test_the_echo_holds_only_what_was_present() -> None:
    assert one(payment()).echo() == PARAMS
    assert one(payment(expires="", surprise="x")).echo() == PARAMS | {"expires": ""}


def test_request_and_opaque_are_never_encoded_anew() -> None:
    spaced = b64(b'{ "z": 1.0, "a": "\\u0041" }')
    echo = one(payment(request=spaced, opaque=spaced)).echo()
    assert (echo["request"], echo["opaque"]) == (spaced, spaced)


def test_order_case_white_space_and_tokens_do_not_matter() -> None:
    line = f'  pAyMeNT\t INTENT\t=\t session ,Method=tempo,request = {PARAMS["request"]}\t,, Realm="r" , ID=a ,'
    found = one(line)
    assert (found.id, found.realm, found.method, found.intent) == ("a", "r", "tempo", "session")


def test_a_quoted_pair_stands_for_its_character() -> None:
    assert one(payment().replace("challenge-1", r"\c\"h\\\,")).id == 'c"h\\,'


def test_a_quoted_value_may_hold_tabs_and_any_letters() -> None:
    assert one(payment(realm="a\tb é 你好 😀 \xa0\x85")).realm == "a\tb é 你好 😀 \xa0\x85"


def test_unknown_parameters_are_ignored() -> None:
    assert one(payment(payment="x", **{"x-y": "Payment, id=1"})) == one(payment())


def test_lines_and_challenges_are_read_in_order() -> None:
    first = f"{payment(id='1')}, {payment(id='2')}"
    assert ids(first, 'Bearer realm="x"', payment(id="3")) == ["1", "2", "3"]


@pytest.mark.parametrize(
    "other",
    [
        'Bearer realm="x"',
        'Bearer realm="Payment id=\\"evil\\", Payment id=evil"',
        "Basic abc==",
        "Basic abc",
        "Negotiate",
        "Negotiate a+/=",
        'Digest realm="r", nonce = "n" ,qop=auth',
        "Foo ,,",
    ],
)
def test_other_schemes_on_the_line_are_passed_over(other: str) -> None:
    before, after = f"{other}, {payment()}", f"{payment()}, {other}"
    for line in (before, after, f"{other}, {payment()}, {other}"):
        assert one(line) == one(payment())


def test_the_word_payment_is_a_scheme_only_where_a_scheme_can_stand() -> None:
    body = payment().removeprefix("Payment ")
    assert parse_challenges([f"Negotiate Payment, {body}"]) == ((), ())  # there it is the token68 of Negotiate
    assert parse_challenges([f"Payments {body}"]) == ((), ())
    assert parse_challenges([body]) == ((), ())


def test_no_header_means_no_challenge() -> None:
    assert parse_challenges([]) == ((), ())
    assert parse_challenges(["", " , ,"]) == ((), ())


def test_parameters_may_start_after_empty_list_elements() -> None:
    assert one(payment().replace("Payment ", "Payment , ,")) == one(payment())


# What is malformed


@pytest.mark.parametrize("name", ["id", "realm", "method", "intent", "request"])
def test_a_required_parameter_that_is_missing_or_empty_is_malformed(name: str) -> None:
    assert reason(payment(**{name: None})) == f"{name} is missing or empty"
    assert reason(payment(**{name: ""})) == f"{name} is missing or empty"


@pytest.mark.parametrize("again", ["id", "ID", "x", "expires"])
def test_a_parameter_that_occurs_twice_is_malformed(again: str) -> None:
    assert reason(f'{payment(x="1", expires="2")}, {again}="3"') == "a parameter occurs twice"


def test_the_same_name_in_two_challenges_occurs_once_in_each() -> None:
    assert ids(f"{payment()}, {payment()}") == ["challenge-1", "challenge-1"]


@pytest.mark.parametrize(
    "line",
    [
        "Payment",
        "Payment ",
        "Payment abc==",
        'Payment id="unterminated',
        payment() + ', expires="unterminated\\"',
        payment() + ", expires=",
        payment() + ", expires=,y=1",
        payment() + ", expires=a b=c",
        payment() + ", expires=a/b",
        payment() + ', expires="a"b',
        payment() + ', expires="a";y="b"',
        payment() + ", =x",
        payment() + ", @",
        payment() + ', "x"',
        payment() + ', x\x00="a"',
        payment(realm="a\r\nSet-Cookie: b"),
        payment(realm="a\x1b[31m"),
        payment(realm="a\x7f"),
        payment(realm="\ud800"),
        payment().replace(", realm", " realm"),
        payment().replace(", realm", "; realm"),
        payment(request="!"),
        payment(request=PARAMS["request"] + "==="),
        payment(request=b64(b"[]")),
        payment(request=b64_json({"a": "x" * 16_384})),
        payment(request=b64(nested(5000))),
        payment(opaque="x" * (LIMIT + 1)),
        payment(header=""),
        payment(header="A B"),
        payment(header="X:y"),
        payment(header="é"),
    ],
)
def test_a_malformed_challenge_is_one_reason_and_hides_no_other(line: str) -> None:
    assert reason(line)
    good = payment(id="good")
    assert ids(good, line, good) == ["good", "good"]
    assert ids(f"{good}, {line}") == ["good"]


@pytest.mark.parametrize(
    "bad",
    [
        "Payment",
        "Payment abc==",
        'Payment id="a", id="b"',
        'Payment id="a" realm="b"',
        'Payment id="a", @@ "Payment , \\" id=c" x',
        'Payment id="a\x00"',
        payment(request="!"),
        payment(header="A B"),
        payment() + ", expires=",
    ],
)
def test_the_challenges_on_both_sides_of_a_malformed_one_are_found(bad: str) -> None:
    challenges, reasons = parse_challenges([f"{payment(id='1')}, {bad}, {payment(id='2')}"])
    assert [found.id for found in challenges] == ["1", "2"]
    assert len(reasons) == 1


def test_a_quoted_text_after_a_fault_is_not_read_as_a_challenge() -> None:
    evil = ", ".join(f"{name}={value}" for name, value in PARAMS.items())
    assert ids(f"Payment {evil}") == ["challenge-1"]
    assert ids(f'Foo a=b, @ ", Payment {evil}, Bar ", {payment(id="good")}') == ["good"]


def test_the_first_fault_of_a_challenge_is_the_one_reported() -> None:
    assert reason(f'{payment()}, id="again", expires=, y="') == "a parameter occurs twice"


def test_a_challenge_is_found_where_only_the_comma_before_it_is_missing() -> None:
    assert ids(f'Bearer realm="x" {payment()}') == ["challenge-1"]
    challenges, reasons = parse_challenges([f"{payment(id='1')} {payment(id='2')}"])
    assert [found.id for found in challenges] == ["2"]
    assert reasons == ("a comma is missing between parameters",)


@pytest.mark.parametrize("name", ["id", "realm", "method", "intent", "request", "opaque", "header", "secret"])
def test_reasons_quote_nothing_from_the_header(name: str) -> None:
    for value in ("secret", "secret\x00", 'secret"', "secret" * 5000):
        bad = [f'{payment(id=None)}, {name}="{value}"', payment(**{name: value}) + ", id=2, secret"]
        for text in parse_challenges(bad)[1]:
            assert "secret" not in text
            assert len(text) < 60


def test_the_repr_shows_neither_the_request_nor_who_pays_for_what() -> None:
    shown = repr(one(payment(**FULL)))
    assert "inference.example" in shown
    for name in ("id", "request", "opaque", "digest"):
        assert FULL[name] not in shown


# What is read although the grammar does not allow it


@pytest.mark.parametrize(
    "parameter",
    ['x="unterminated\\"', "x=", "x=,y=1", "x=a b=c", "x=a/b", 'x="a"b', 'x="a";y="b"', 'x="a\x00"', 'x="\\ud800"'],
)
def test_a_fault_in_a_parameter_that_nobody_knows_spoils_nothing(parameter: str) -> None:
    assert one(f"{payment()}, {parameter}") == one(payment())
    if "unterminated" not in parameter:
        assert one(payment().replace("Payment ", f"Payment {parameter}, ")) == one(payment())
        assert ids(f"{payment(id='1')}, {parameter}, {payment(id='2')}") == ["1", "2"]


@pytest.mark.parametrize(
    "description",
    [
        'The "best" answer',
        '"all of it"',
        'ends with a "quote"',
        'a "quote", then more',
        'a "quote" , "another"',
        'say "hi"; id="x"',
        '"',
        '""',
    ],
)
def test_a_description_may_hold_quotes_that_are_not_escaped(description: str) -> None:
    body = payment().removeprefix("Payment ")
    last, first = f'Payment {body}, description="{description}"', f'Payment description="{description}", {body}'
    for line in (last, first, f'Negotiate, {first}, Bearer realm="x"', f"{last}, Negotiate abc=="):
        assert one(line).description == description
    assert ids(f"{last}, {payment(id='2')}, {first}, {payment(id='4')}") == ["challenge-1", "2", "challenge-1", "4"]


QUOTING = st.text('ab"\\, =\t', max_size=12)


@given(QUOTING, st.sampled_from(["", ", Negotiate", ", Basic abc==", ', Bearer realm="x"', f", {payment(id='2')}"]))
def test_a_description_that_is_escaped_ends_where_its_quote_does(description: str, after: str) -> None:
    challenges, reasons = parse_challenges([payment(description=description) + after])
    assert reasons == ()
    assert (challenges[0].description, [found.id for found in challenges[1:]]) == (description, ["2"] * ("2" in after))


def test_no_other_value_may_hold_such_quotes() -> None:
    assert reason('Payment realm="The "best" gateway", ' + payment(realm=None).removeprefix("Payment "))


@pytest.mark.parametrize("opaque", ["", "not JSON", "W10", "e30=", "a+/=", "{}", b64(b"1"), "x" * LIMIT])
def test_opaque_is_echoed_as_it_came_whatever_it_is(opaque: str) -> None:
    assert one(payment(opaque=opaque)).echo()["opaque"] == opaque


def test_a_request_in_plain_base64_is_echoed_as_it_came() -> None:
    plain = base64.b64encode(b'{"a":"\xc3\xbf\xc3\xbe?>>>"}').decode()
    assert "/" in plain
    assert plain.endswith("=")
    assert one(payment(request=plain)).echo()["request"] == plain


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("caf\\u00e9", "caf\u00e9"),
        ("\\u4f60\\u597D", "\u4f60\u597d"),
        ("\\ud83d\\ude00", "\U0001f600"),
        ("\\u0022\\u005c", '"\\'),
        ("\\\\u00e9", "\\u00e9"),
        ("\\u00e", "u00e"),
        ("\\u00eg", "u00eg"),
        ("\\U00e9", "U00e9"),
        ("\\u", "u"),
    ],
)
def test_an_escape_is_that_unit_of_utf_16(written: str, read: str) -> None:
    assert one(payment().replace("inference.example", written)).realm == read


@pytest.mark.parametrize(
    "written", ["\\ud83d", "\\ude00", "\\ude00\\ud83d", "\\u0000", "\\u000a", "\\u001b[31m", "\\u007f"]
)
def test_an_escape_brings_in_nothing_that_a_value_may_not_hold(written: str) -> None:
    assert reason(payment().replace("inference.example", written)) == "a quoted value holds a control character"


@given(st.text(st.characters(min_codepoint=32, exclude_characters="\x7f", exclude_categories=["Cs"]), min_size=1))
def test_any_text_can_be_escaped_unit_by_unit(text: str) -> None:
    units = text.encode("utf-16-be")
    written = "".join(f"\\u{units[at]:02x}{units[at + 1]:02X}" for at in range(0, len(units), 2))
    assert one(payment().replace("inference.example", written)).realm == text


@given(st.binary().filter(lambda text: not {*range(9), *range(10, 32), 127, 34, 92} & {*text}))
def test_header_fields_are_read_as_iso_8859_1(realm: bytes) -> None:
    line = payment(realm="@").encode().replace(b"@", b"x" + realm)
    challenges, reasons = parse_fields([(b"X-Other", b"Payment"), (b"WWW-Authenticate", line)])
    assert (len(challenges), reasons) == (1, ())
    assert challenges[0].echo()["realm"].encode("iso-8859-1") == b"x" + realm


# Any input, in linear time

HOSTILE = {
    "backslashes": "\\",
    "quoted backslashes": "\\\\",
    "quotes": '"',
    "escaped quotes": '\\"',
    "commas": ",",
    "spaces": " ",
    "equals signs": "=",
    "schemes": "Payment ",
    "schemes and commas": "Payment,",
    "params": "a=b,",
    "params without commas": 'a="b"',
    "token68 or scheme": "a  ",
    "open quotes": 'a=",',
    "descriptions": 'description="',
    "descriptions with commas": 'description=",',
    "elements after quotes": '", aaaa ',
    "units": "\\u00e9",
    "letters": "a",
    "junk": "@",
}


class Watched(str):
    """A text that counts how many of its characters are looked at."""

    reads: int

    def __new__(cls, text: str) -> Watched:
        made = super().__new__(cls, text)
        made.reads = 0
        return made

    def __getitem__(self, key: Any) -> str:
        found = super().__getitem__(key)
        self.reads += max(1, len(found))
        return found

    def startswith(self, *args: Any) -> bool:
        self.reads += 1
        return super().startswith(*args)

    def find(self, wanted: str, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        found = super().find(wanted, start, len(self) if end is None else end)
        self.reads += max(1, (found if found >= 0 else len(self) if end is None else end) - start)
        return found


@pytest.mark.parametrize(
    "prefix", ["", 'Payment id="', 'Payment description="', "Payment id=", "Payment ", 'Bearer x="\\']
)
@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
def test_the_work_grows_with_the_length_and_no_faster(prefix: str, unit: str) -> None:
    for size in (1_000, 12_000):
        line = Watched(prefix + unit * (size // len(unit)))
        parse_challenges([line])
        assert size / 2 < line.reads < 12 * size + 100


@pytest.mark.parametrize("kind", ["backslashes", "escaped quotes", "quotes", "schemes", "params", "token68 or scheme"])
def test_a_header_of_a_megabyte_is_read_to_its_end(kind: str) -> None:
    flood = HOSTILE[kind] * (1_000_000 // len(HOSTILE[kind]))
    challenges, _ = parse_challenges([f"{payment(id='first')}, Foo {flood}", payment(id="last")])
    assert challenges[-1].id == "last"
    assert challenges[0].id == "first"


def test_twelve_thousand_backslashes_are_six_thousand() -> None:
    assert one(payment(realm="\\" * 6_000)).realm == "\\" * 6_000


SYNTAX = st.lists(
    st.sampled_from([*HOSTILE.values(), payment(), 'id="', "id", "\t", "Basic x==", "\x00", "é", "\ud800"]), max_size=12
).map("".join)


@given(st.lists(st.text(max_size=80) | SYNTAX, max_size=3))
def test_no_header_raises(lines: list[str]) -> None:
    challenges, reasons = parse_challenges(lines)
    for found in challenges:
        assert all(found.echo().values() or [""])
        assert found.expired(0) in (True, False)
        assert found.digest_matches(b"") in (True, False)
    assert all(isinstance(text, str) for text in reasons)


VALUE = st.text(st.characters(min_codepoint=32, exclude_characters="\x7f", exclude_categories=["Cs"]), min_size=1)
TOKENS = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=8)
OTHERS = st.sampled_from(["Basic abc==", 'Bearer realm="Payment id=1, x"', "Negotiate", "Digest a=b , c = d"])


@given(st.data())
def test_any_way_of_writing_challenges_is_read_as_the_same_challenges(data: st.DataObject) -> None:
    spelling = random.Random(data.draw(st.integers()))  # noqa: S311

    def blank() -> str:
        return spelling.choice(["", " ", "\t ", "  "])

    def write(params: dict[str, str]) -> str:
        items = [(spelling.choice([str.lower, str.upper, str.title])(name), value) for name, value in params.items()]
        spelling.shuffle(items)
        text = ("Payment", "payment", "PAYMENT")[spelling.randrange(3)] + " " + blank()
        for position, (name, value) in enumerate(items):
            separator = blank() + "," + spelling.choice(["", ",", " , "]) + blank()
            text += (separator if position else "") + name + blank() + "=" + blank()
            bare = value.isascii() and value.replace("-", "").isalnum() and spelling.random() < 0.5
            pairs = "".join("\\" + c if c in '"\\' or (c != "u" and spelling.random() < 0.1) else c for c in value)
            text += value if bare else f'"{pairs}"'
        return text

    wanted, elements = [], []
    for _ in range(data.draw(st.integers(1, 3))):
        names = ("id", "realm", "method", "intent", "description", "expires", "digest")
        params = {name: data.draw(VALUE | TOKENS) for name in names}
        params["request"] = b64_json({"n": data.draw(st.integers())})
        wanted.append(Challenge(**params))
        elements += [data.draw(OTHERS), write(params)]
    challenges, reasons = parse_challenges([f"{blank()},{blank()}".join(elements)])
    assert reasons == ()
    assert list(challenges) == wanted


# Expiry


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T12:00:00Z",
        "2026-03-01t12:00:00z",
        "2026-03-01T12:00:00+00:00",
        "2026-03-01T12:00:00-00:00",
        "2026-03-01T12:00:00.000Z",
        "2026-03-01T12:00:00.0000000009Z",
        "2026-03-01T17:30:00+05:30",
        "2026-02-28T23:00:00-13:00",
    ],
)
def test_a_challenge_is_expired_from_the_moment_it_names(text: str) -> None:
    at_noon = challenge(expires=text)
    assert not at_noon.expired(NOON.timestamp() - 0.001)
    assert at_noon.expired(NOON.timestamp())
    assert at_noon.expired(NOON.timestamp() + 1)


def test_fractions_of_a_second_count() -> None:
    late = challenge(expires="2026-03-01T12:00:00.75Z")
    assert not late.expired(NOON.timestamp() + 0.7)
    assert late.expired(NOON.timestamp() + 0.8)


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)), st.integers(-1439, 1439))
def test_every_offset_names_the_same_moment(moment: datetime, minutes: int) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    local = (moment + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S").zfill(19)
    there = challenge(expires=f"{local}{sign}{hours:02}:{rest:02}")
    assert not there.expired(moment.timestamp() - 1)
    assert there.expired(moment.timestamp())


def test_a_challenge_without_expires_never_expires() -> None:
    assert not challenge().expired(float(2**62))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2999",
        "2999-01-01",
        "2999-01-01T00:00Z",
        "2999-01-01T00:00:00",
        "2999-01-01 00:00:00Z",
        "2999-01-01T00:00:00.Z",
        "2999-01-01T00:00:00,5Z",
        "2999-01-01T00:00:00+0000",
        "2999-01-01T00:00:00+24:00",
        "2999-13-01T00:00:00Z",
        "2999-02-30T00:00:00Z",
        "2999-01-01T25:00:00Z",
        "2999-01-01T23:59:60Z",
        "2999-W01-1T00:00:00Z",
        "29990101T000000Z",
        "+2999-01-01T00:00:00Z",
        "٢٩٩٩-01-01T00:00:00Z",
        "2999-01-01T00:00:00Z ",
        "32503680000",
    ],
)
def test_an_expiry_that_is_no_rfc_3339_date_counts_as_expired(text: str) -> None:
    assert challenge(expires=text).expired(0)


@given(st.text(max_size=40) | st.text("0123456789-:.TZ+", max_size=30))
def test_no_expiry_raises(text: str) -> None:
    assert challenge(expires=text).expired(2.0**40) in (True, False)


# Digest


def sha256(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


FORMS = [
    "sha-256=:{}:",
    "sha-256={}",
    "SHA-256=:{}:",
    "Sha-256={}",
    "sha-512=:AAAA:, sha-256=:{}:",
    "sha-256=:{}:,sha-512=:AAAA:",
    " md5=x , sha-256 = :{}: ",
]


@pytest.mark.parametrize("padding", ["=", ""], ids=["padded", "unpadded"])
@pytest.mark.parametrize("form", FORMS)
@given(body=st.binary(max_size=50))
def test_every_form_of_a_digest_matches_its_body_and_no_other(form: str, padding: str, body: bytes) -> None:
    digest = challenge(digest=form.format(sha256(body).rstrip("=") + padding))
    assert digest.digest_matches(body)
    assert not digest.digest_matches(body + b"\0")


def test_a_challenge_without_a_digest_matches_every_body() -> None:
    assert challenge().digest_matches(b"anything")


EMPTY = sha256(b"")


@pytest.mark.parametrize(
    "digest",
    [
        "",
        EMPTY,
        "sha-256",
        "sha-256=",
        "sha-256=::",
        f"sha-512=:{EMPTY}:",
        f"sha256={EMPTY}",
        f"sha-256=:{EMPTY}",
        f"sha-256={EMPTY}:",
        f"sha-256=:{EMPTY.lower()}:",
        f"sha-256={EMPTY[:-2]}",
        f"sha-256={EMPTY}=",
        f"sha-256=:{hashlib.sha256(b'').hexdigest()}:",
        f"sha-256=:{EMPTY}:, sha-256=:{sha256(b'x')}:",
        f"sha-256=:{sha256(b'x')}:, sha-256=:{EMPTY}:",
        f"x-sha-256=:{EMPTY}:",
    ],
)
def test_a_digest_that_cannot_be_checked_does_not_match(digest: str) -> None:
    assert not challenge(digest=digest).digest_matches(b"")


@given(st.text(max_size=60))
def test_no_digest_raises(digest: str) -> None:
    assert not challenge(digest=digest).digest_matches(b"body")


def test_malformed_is_a_value_error() -> None:
    assert issubclass(MalformedError, ValueError)


def test_a_challenge_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        one(payment()).id = "other"  # type: ignore[misc]


def test_quoting_in_these_tests_is_undone_by_the_parser() -> None:
    assert one(payment(realm='a\\"b')).realm == 'a\\"b'
    assert quoted('a\\"b') == '"a\\\\\\"b"'
