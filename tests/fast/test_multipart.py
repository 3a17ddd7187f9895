"""The reader of forms: it finds the same however a body is cut, and refuses what could be read in two ways."""

from __future__ import annotations

import itertools

import pytest

from edge._fast.http.multipart import boundary_of, model_span

B = b"x"
MODEL = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
HEAD = b'Content-Disposition: form-data; name="file"; filename="a"\r\nContent-Type: audio/mpeg\r\n'
FILE = b"--x\r\n" + HEAD + b"\r\n\x00\r\n\r\n-\r\n"
END = b"--x--\r\n"
GOOD = {
    "model": MODEL + END,
    "first": MODEL + FILE + END,
    "last": FILE + MODEL + END,
    "no last line end": MODEL + b"--x--",
    "line end before": b"\r\n" + MODEL + END,
    "empty part": b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n" + MODEL + END,
    "unquoted": MODEL.replace(b'"model"', b"model") + END,
    "typed": MODEL.replace(b'"model"', b'"model"\r\nContent-Type: text/plain; charset=utf-8') + END,
    "small letters": MODEL.lower() + END,
    "near misses": FILE.replace(b"\x00", b"--\r\n-x\r\n--y\r\n") + MODEL + END,
}
BAD = {
    "nothing": b"",
    "end alone": END,
    "preamble": b"hello\r\n" + MODEL + END,
    "lone line end": b"\n" + MODEL + END,
    "epilogue": MODEL + END + b"x",
    "part behind": MODEL + END + MODEL,
    "no end": MODEL,
    "cut": (MODEL + END)[:-5],
    "bare feeds": (MODEL + END).replace(b"\r\n", b"\n"),
    "hidden": FILE.replace(b"\x00", b"\n--x\n") + END,
    "inside": FILE.replace(b"\x00", b"a--x") + END,
    "longer": MODEL.replace(b"--x\r", b"--xy\r") + END,
    "padded": MODEL.replace(b"--x\r", b"--x \r") + END,
    "no name": MODEL.replace(b'; name="model"', b"") + END,
    "two names": MODEL.replace(b'"model"', b'"a"; name="model"') + END,
    "starred": MODEL.replace(b"name=", b"name*=") + END,
    "sections": MODEL.replace(b'"model"', b'"a"; name*0="mo"; name*1="del"') + END,
    "coded sections": MODEL.replace(b'"model"', b"\"a\"; NAME*0*=utf-8''mod; name*1=el") + END,
    "sections of its name": MODEL.replace(b'"model"', b'"model"; name*0=x') + END,
    "sections of a file's name": MODEL.replace(b'"model"', b'"model"; filename*0=x') + END,
    "both": MODEL.replace(b'"model"', b"\"a\"; name*=utf-8''model") + END,
    "no form": MODEL.replace(b"form-data", b"file") + END,
    "two dispositions": MODEL.replace(b'"model"', b'"a"\r\nContent-Disposition: form-data; name="model"') + END,
    "folded": MODEL.replace(b"; name", b";\r\n name") + END,
    "file": MODEL.replace(b'"model"', b'"model"; filename="a"') + END,
    "coded": MODEL.replace(b'"model"', b'"model"\r\nContent-Transfer-Encoding: base64') + END,
    "other letters": MODEL.replace(b'"model"', b'"model"\r\nContent-Type: text/plain; charset=utf-16') + END,
    "empty": MODEL.replace(b"whisper-1", b"") + END,
    "long": MODEL.replace(b"whisper-1", b"a" * 513) + END,
    "lines": MODEL.replace(b"whisper-1", b"a\r\nb") + END,
    "null": MODEL.replace(b"whisper-1", b"a\x00") + END,
    "no text": MODEL.replace(b"whisper-1", b"\xff") + END,
    "no head": b"--x\r\n\r\na\r\n" + MODEL + END,
    "long head": MODEL.replace(b'"model"', b'"model"\r\nx: ' + b"y" * 5000) + END,
    "many": FILE * 257 + MODEL + END,
    "end behind": MODEL + b"--x--\r",
    "quote": MODEL.replace(b'"model"', b'"model') + END,
}


@pytest.mark.parametrize("name", GOOD)
def test_forms(name: str) -> None:
    """The field is found in every order and writing that clients have, at every cut, and byte by byte."""
    body = GOOD[name]
    start = body.index(b"whisper-1")
    expected = (start, start + 9)
    assert model_span(body, B) == expected
    for cut in range(len(body)):
        assert model_span(body, B, [cut]) == expected
    assert model_span(body, B, range(len(body))) == expected


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_form(name: str) -> None:
    """What is broken, hidden from some readers or left open to two readings is refused, wherever it is cut."""
    body = BAD[name]
    for cuts in (
        (),
        range(0, len(body), 1 + len(body) // 500),
        *([cut] for cut in range(0, len(body), 1 + len(body) // 100)),
    ):
        with pytest.raises(ValueError, match="bad"):
            model_span(body, B, cuts)


@pytest.mark.parametrize("name", GOOD)
def test_cut_forms(name: str) -> None:
    """The beginning of a form is none, wherever it ends."""
    body = GOOD[name]
    for size in range(body.index(b"--x--") + 5):
        with pytest.raises(ValueError, match="bad"):
            model_span(body[:size], B)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    "other", [b'"model"', b"model", b'"Model"', b'"mod\\el"', b'"mod%65l"', b'"model[]"', b'"MODEL "']
)
def test_the_field_twice(other: bytes, first: bool) -> None:
    """The field twice, or another name that could be taken for it, is told apart from a form that is broken."""
    parts = [MODEL, FILE, MODEL.replace(b'"model"', other)]
    with pytest.raises(ValueError, match="alike"):
        model_span(b"".join(reversed(parts) if first else parts) + END, B)


def test_no_model() -> None:
    """A form without the field has none."""
    assert model_span(FILE + END, B) is None


def test_generated_forms() -> None:
    """Whatever stands in the other parts, the field is where it was put, or the form is refused."""
    letters = [b"", b"-", b"--", b"--x", b"\r\n", b"\r", b"\n", b"\r\n--", b"\r\n--x", b"x", b"--\r\n"]
    for pieces in itertools.product(letters, repeat=3):
        content = b"".join(pieces)
        body = FILE.replace(b"\x00", content) + MODEL + END
        if b"--x" in content:
            with pytest.raises(ValueError, match="bad"):
                model_span(body, B)
        else:
            start = body.index(b"whisper-1")
            assert model_span(body, B) == model_span(body, B, range(0, len(body), 3)) == (start, start + 9)


@pytest.mark.parametrize(
    ("value", "boundary"),
    [
        (b"multipart/form-data; boundary=abc", b"abc"),
        (b'multipart/form-data; boundary="a b:c"', b"a b:c"),
        (b"Multipart/Form-Data;boundary=abc", b"abc"),
        (b"multipart/form-data; charset=utf-8; boundary=a'b", b"a'b"),
        (b"multipart/form-data", None),
        (b"multipart/mixed; boundary=a", None),
        (b"multipart/form-data; boundary=", None),
        (b'multipart/form-data; boundary=""', None),
        (b"multipart/form-data; boundary=a; boundary=b", None),
        (b"multipart/form-data; boundary=a; Boundary=a", None),
        (b'multipart/form-data; boundary="a\\b"', None),
        (b"multipart/form-data; boundary=a; boundary*=utf-8''b", None),
        (b"multipart/form-data; boundary=a; Boundary*0=b", None),
        (b"multipart/form-data; boundary*0*=us-ascii''b; boundary=a", None),
        (b"multipart/form-data; boundary=" + b"a" * 71, None),
        (b'multipart/form-data; boundary="a "', None),
        (b"multipart/form-data; boundary=a, multipart/form-data; boundary=b", None),
        (b"application/json; boundary=a", None),
    ],
)
def test_boundaries(value: bytes, boundary: bytes | None) -> None:
    """A boundary is taken from a form's Content-Type, quoted or not, where there is one alone."""
    assert boundary_of(value) == boundary
