"""A place in a header field's value, and the terminals of the grammar that can be read there (see ``challenge``)."""

from __future__ import annotations

from ando_cli.mpp.malformed import MalformedError

_ALNUM = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
TOKEN = _ALNUM | frozenset("!#$%&'*+-.^_`|~")
_TOKEN68 = _ALNUM | frozenset("-._~+/")
_BLANK = frozenset(" \t")
_BETWEEN_ELEMENTS = _BLANK | {","}
_PADDING = frozenset("=")
_HEX = frozenset("0123456789abcdefABCDEF")


class Cursor:
    """A place in the field value ``text``, and the terminals that can be read there."""

    __slots__ = ("_at", "_lenient", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lenient = True

    def next_element(self) -> bool:
        """Go to where the next element starts; false at the end."""
        self._run(_BETWEEN_ELEMENTS)
        return self._at < len(self._text)

    def at_end_of_element(self) -> bool:
        """Say whether a comma or the end comes next."""
        return self._text[self._at : self._at + 1] in ("", ",")

    def blanks(self) -> bool:
        """Pass over optional white space; say whether there was any."""
        return bool(self._run(_BLANK))

    def skip(self, character: str) -> bool:
        """Pass over ``character`` if it comes next; say whether it did."""
        found = self._text.startswith(character, self._at)
        self._at += found
        return found

    def token(self) -> str:
        """Read a token.

        Raises:
            MalformedError: there is none.
        """
        found = self._run(TOKEN)
        if not found:
            raise MalformedError("an unexpected character")
        return found

    def skip_token68(self) -> None:
        """Pass over a token68 if that is what fills the rest of the element."""
        start = self._at
        found = self._run(_TOKEN68)
        self._run(_PADDING)
        self.blanks()
        if not (found and self.at_end_of_element()):
            self._at = start

    def value(self, *, lenient: bool = False) -> str:
        """Read the value of a param; a ``lenient`` one may hold quotes that are not escaped.

        Raises:
            MalformedError: it is neither a token nor a quoted value that ends.
        """
        return self._quoted(lenient=lenient) if self.skip('"') else self.token()

    def recover(self) -> None:
        """Go to the next comma outside quotes, or to the end."""
        text = self._text
        while self._at < len(text) and text[self._at] != ",":
            self._at += 1
            if text[self._at - 1] == '"':
                self._rest_of_quoted()

    def _quoted(self, *, lenient: bool) -> str:
        start = self._at
        value = self._rest_of_quoted(lenient=lenient and self._lenient)
        if value is None and lenient and self._lenient:
            # No quote from here on ends an element. To look for one again and again would take too long.
            self._lenient, self._at = False, start
            value = self._rest_of_quoted()
        if value is None:
            raise MalformedError("a quoted value does not end")
        if not value.isprintable() and not all(map(_is_text, value)):
            raise MalformedError("a quoted value holds a control character")
        return value

    def _rest_of_quoted(self, *, lenient: bool = False) -> str | None:
        """Read up to and with the closing quote and undo the quoted-pairs; ``None`` if the text ends before it.

        A ``lenient`` value goes on after a quote that no element can end with.
        """
        text, at, kept, units = self._text, self._at, list[str](), False
        end = text.find('"', at)
        while end >= 0:
            pair = text.find("\\", at, end)
            if pair < 0:
                kept.append(text[at:end])
                at = self._at = end + 1
                if not lenient or self._ends_element():
                    return _joined(kept) if units else "".join(kept)
                kept.append('"')
                end = text.find('"', at)
                continue
            kept.append(text[at:pair])
            digits = text[pair + 2 : pair + 6]
            if len(digits) == 4 and text[pair + 1] == "u" and _HEX.issuperset(digits):
                kept.append(chr(int(digits, 16)))
                at, units = pair + 6, True
            else:
                kept.append(text[pair + 1 : pair + 2])
                at = pair + 2
            if at > end:  # the quote was one half of the pair
                end = text.find('"', at)
        self._at = len(text)
        return None

    def _ends_element(self) -> bool:
        """Say whether an element can have ended here: nothing follows, or a comma and the start of another one."""
        start = self._at
        try:
            self.blanks()
            if not self.at_end_of_element():
                return False
            if not self.next_element():
                return True
            if not self._run(TOKEN):
                return False
            separated = self.blanks()
            if self.skip("=") or self.at_end_of_element():
                return True
            found = separated and (self._run(TOKEN | _TOKEN68), self.blanks())
            return bool(found) and (self.skip("=") or self.at_end_of_element())
        finally:
            self._at = start

    def _run(self, allowed: frozenset[str]) -> str:
        """Pass over the characters that are ``allowed`` and return them."""
        text, start, at = self._text, self._at, self._at
        while at < len(text) and text[at] in allowed:
            at += 1
        self._at = at
        return text[start:at]


def _joined(parts: list[str]) -> str:
    """``parts`` in one, with two halves of a surrogate pair as the one character that they stand for."""
    return "".join(parts).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _is_text(character: str) -> bool:
    """Whether a quoted value may hold it: a tab, a space, or what is visible. Half a surrogate pair is no character."""
    return character == "\t" or (" " <= character != "\x7f" and not "\ud800" <= character <= "\udfff")
